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
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from endosfm3d_ros.tissue.graph import DeformationGraph

# SuperLU without pivoting: the matrix is symmetric and positive definite
SYMMETRIC = {
    "permc_spec": "MMD_AT_PLUS_A",
    "diag_pivot_thresh": 0.0,
    "options": {"SymmetricMode": True},
}


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
    """Normal equations of the graph, set up once and weighted anew for each round."""

    def __init__(
        self,
        graph: DeformationGraph,
        samples: Samples,
        in_view: np.ndarray,
        config: DeformationConfig,
    ) -> None:
        self._config = config
        self._count = int(in_view.sum())
        renumbered = np.cumsum(in_view) - 1
        self._index = renumbered[samples.index]
        self._skin = samples.weight.astype(np.float64)
        pairs = self._index[:, :, None] * self._count + self._index[:, None, :]
        self._pairs = pairs.ravel()
        self._products = self._skin[:, :, None] * self._skin[:, None, :]
        self._smooth = config.smoothness * _laplacian(graph, in_view)
        self._prior = self._smooth + config.rest * np.eye(self._count)
        self._floor = config.floor * float(np.median(samples.points[:, 2]))

    def skinned(self, step: np.ndarray) -> np.ndarray:
        """(n, D) node values (M, D) at the samples."""
        return np.einsum("nk,nkd->nd", self._skin, step[self._index])

    def solve(
        self, target: np.ndarray, weight: np.ndarray, predicted: np.ndarray, rounds: int
    ) -> np.ndarray:
        """(M, D) node steps that reach the targets (n, D), re-weighted between the rounds."""
        step = np.zeros((self._count, target.shape[1]))
        for k in range(rounds if weight.any() else 0):
            robust = self._reweighted(weight, target, step) if k else weight
            step = self._solve_once(target, robust, predicted)
        return step

    def _reweighted(self, weight: np.ndarray, target: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Huber weights of the residuals that a step leaves."""
        residual = np.linalg.norm(target - self.skinned(step), axis=1)
        scale = max(1.4826 * float(np.median(residual[weight > 0])), self._floor)
        return weight * np.minimum(1, self._config.huber * scale / np.maximum(residual, 1e-12))

    def _solve_once(
        self, target: np.ndarray, weight: np.ndarray, predicted: np.ndarray
    ) -> np.ndarray:
        size = self._count
        weight = weight * (size / max(len(weight), 1))
        products = (weight[:, None, None] * self._products).ravel()
        matrix = np.bincount(self._pairs, products, size * size).reshape(size, size)
        weighted = weight[:, None] * self._skin
        right = [
            np.bincount(self._index.ravel(), (weighted * column[:, None]).ravel(), size)
            for column in target.T
        ]
        right = np.stack(right, axis=1) - self._smooth @ predicted
        # sparse and on one thread: dense algebra of this size waits for busy cores
        factor = splu(csc_matrix(matrix + self._prior), **SYMMETRIC)
        return factor.solve(right)


def _laplacian(graph: DeformationGraph, in_view: np.ndarray) -> np.ndarray:
    """(m, m) graph Laplacian of the edges between nodes in view."""
    renumbered = np.cumsum(in_view) - 1
    a, b = renumbered[graph.edges[in_view[graph.edges].all(axis=1)]].T
    matrix = np.zeros((in_view.sum(), in_view.sum()))
    matrix[a, b] = matrix[b, a] = -1
    matrix[np.diag_indices(len(matrix))] = -matrix.sum(axis=1)
    return matrix
