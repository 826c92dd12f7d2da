"""How the tissue moved between prediction and image, in closed form.

Least squares for one translation d per node,
    sum_i w_i |S_i d - r_i|^2 + rest sum_j |d_j|^2 + smoothness sum_jk |D_j - D_k|^2,
with S the skinning weights and D = d + p the whole step of a node, prediction p included. In
camera axes the depth of a point is measured by the depth map alone and its lateral place by the
flow alone, so the problem falls apart into one system for z and one, with two right-hand sides,
for x and y: two sparse systems of M x M instead of one of 3M x 3M. Nodes without data follow
their neighbours: the hidden tissue moves with its rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.store.gaussians import NEIGHBOURS


@dataclass(frozen=True)
class DeformationConfig:
    """Weights are relative to the mean weight of the data that one node sees."""

    samples: int = 2200  # Gaussians that vote
    fewest: int = 60  # fewer say nothing
    metric_depth: float = 1.0  # weight of a measured depth beside a flow vector: stereo ...
    relative_depth: float = 0.1  # ... and one eye
    smoothness: float = 0.3  # per edge
    rest: float = 0.003  # towards the predicted place; far from data motion dies out
    rounds: int = 2  # of iterative re-weighting for the flow
    depth_rounds: int = 1  # the same for the depth, which was checked before it came here
    huber: float = 1.5  # in robust standard deviations of the residual
    floor: float = 2e-4  # of the depth; residuals below are noise (0.1 px at 570 px focal length)
    largest: float = 0.04  # of the depth per frame; more is not a deformation


@dataclass(frozen=True)
class Samples:
    """Gaussians with where the image shows them; camera frame of the image, metres."""

    index: np.ndarray  # (n, 4) int32 nodes
    weight: np.ndarray  # (n, 4) float32 skinning
    points: np.ndarray  # (n, 3) predicted
    rays: np.ndarray  # (n, 2) x/z and y/z where the flow leads
    flow_weight: np.ndarray  # (n,) >= 0
    depth: np.ndarray  # (n,) measured there; NaN unknown
    depth_weight: np.ndarray  # (n,) >= 0


def solve_deformation(
    graph: DeformationGraph,
    samples: Samples,
    predicted: np.ndarray,
    in_view: np.ndarray,
    config: DeformationConfig,
) -> np.ndarray:
    """(M, 3) node translations in camera axes, metres; zero for nodes that are out of view.

    Args:
        graph: nodes and edges.
        samples: measurements after the prediction; with fewer than `fewest` nothing moves.
        predicted: (M, 3) how far the nodes were moved by the prediction, camera axes.
        in_view: (M,) bool nodes that may move; they hold every node of the samples.
        config: weights.
    """
    step = np.zeros((graph.count, 3))
    if len(samples.points) < config.fewest:
        return step
    system = _Normal(graph, samples, in_view, config)
    # 1 along the optical axis, from the depth map
    missing = np.where(np.isfinite(samples.depth), samples.depth - samples.points[:, 2], 0)
    weight = samples.depth_weight * np.isfinite(samples.depth)
    along = system.solve(missing[:, None], weight, predicted[in_view, 2:], config.depth_rounds)
    # 2 across it, from the flow, at the new depth
    z = samples.points[:, 2] + system.skinned(along)[:, 0]
    lateral = samples.rays * z[:, None] - samples.points[:, :2]
    across = system.solve(lateral, samples.flow_weight, predicted[in_view, :2], config.rounds)
    # 3 within what tissue can do
    move = np.concatenate([across, along], axis=1)
    limit = config.largest * float(np.median(samples.points[:, 2]))
    length = np.linalg.norm(move, axis=1, keepdims=True)
    step[in_view] = move * np.minimum(1, limit / np.maximum(length, 1e-12))
    return step


class _Normal:
    """Normal equations of the graph, set up once and weighted anew for each round.

    Inside, nodes in view are numbered along the band; the public methods take and give them in the
    order of the graph.
    """

    def __init__(
        self,
        graph: DeformationGraph,
        samples: Samples,
        in_view: np.ndarray,
        config: DeformationConfig,
    ) -> None:
        self._config = config
        self._count = int(in_view.sum())
        self._floor = config.floor * float(np.median(samples.points[:, 2]))
        # 1 numbers along the band
        laplacian = _laplacian(graph, in_view)
        self._order = reverse_cuthill_mckee(laplacian, symmetric_mode=True)
        rank = np.empty(self._count, np.int64)
        rank[self._order] = np.arange(self._count)
        self._smooth = config.smoothness * laplacian[self._order][:, self._order]
        self._index = rank[(np.cumsum(in_view) - 1)[samples.index]]
        self._skin = samples.weight.astype(np.float64)
        # 2 where products of skinning weights, and the priors, go in the lower half of the matrix
        one, other = np.tril_indices(NEIGHBOURS)
        a, b = self._index[:, one], self._index[:, other]
        self._products = self._skin[:, one] * self._skin[:, other]
        smooth = self._smooth.tocoo()
        lower = smooth.row >= smooth.col
        below = smooth.row[lower] - smooth.col[lower]
        self._width = 1 + max(int(np.abs(a - b).max()), int(below.max(initial=0)))
        self._cells = (np.abs(a - b) * self._count + np.minimum(a, b)).ravel()
        self._prior = np.zeros((self._width, self._count))
        self._prior[below, smooth.col[lower]] = smooth.data[lower]
        self._prior[0] += config.rest

    def skinned(self, step: np.ndarray) -> np.ndarray:
        """(n, D) node values (M, D) at the samples."""
        return self._at_samples(step[self._order])

    def solve(
        self, target: np.ndarray, weight: np.ndarray, predicted: np.ndarray, rounds: int
    ) -> np.ndarray:
        """(M, D) node steps that reach the targets (n, D), re-weighted between the rounds."""
        step = np.zeros((self._count, target.shape[1]))
        pull = self._smooth @ predicted[self._order]
        for k in range(rounds if weight.any() else 0):
            robust = self._reweighted(weight, target, step) if k else weight
            step = self._solve_once(target, robust, pull)
        answer = np.empty_like(step)
        answer[self._order] = step
        return answer

    def _at_samples(self, step: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nkd->nd", self._skin, step[self._index])

    def _reweighted(self, weight: np.ndarray, target: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Huber weights of the residuals that a step leaves."""
        residual = np.linalg.norm(target - self._at_samples(step), axis=1)
        scale = max(1.4826 * float(np.median(residual[weight > 0])), self._floor)
        return weight * np.minimum(1, self._config.huber * scale / np.maximum(residual, 1e-12))

    def _solve_once(self, target: np.ndarray, weight: np.ndarray, pull: np.ndarray) -> np.ndarray:
        size = self._count
        weight = weight * (size / max(len(weight), 1))
        products = (weight[:, None] * self._products).ravel()
        band = np.bincount(self._cells, products, self._width * size).reshape(-1, size)
        weighted = weight[:, None] * self._skin
        right = [
            np.bincount(self._index.ravel(), (weighted * column[:, None]).ravel(), size)
            for column in target.T
        ]
        right = np.stack(right, axis=1) - pull
        return solveh_banded(band + self._prior, right, lower=True, check_finite=False)


def _laplacian(graph: DeformationGraph, in_view: np.ndarray) -> csr_matrix:
    """(m, m) graph Laplacian of the edges between nodes in view."""
    count = int(in_view.sum())
    a, b = (np.cumsum(in_view) - 1)[graph.edges[in_view[graph.edges].all(axis=1)]].T
    ends, diagonal = np.concatenate([a, b]), np.arange(count)
    degree = np.bincount(ends, minlength=count).astype(np.float64)
    values = np.concatenate([degree, np.full(len(ends), -1.0)])
    rows = np.concatenate([diagonal, a, b])
    columns = np.concatenate([diagonal, b, a])
    return csr_matrix((values, (rows, columns)), shape=(count, count))
