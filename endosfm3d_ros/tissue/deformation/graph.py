"""Embedded deformation graph: sparse nodes that carry the Gaussians (Sumner et al. 2007).

Nodes live at the current time. Each carries its velocity and the way it has travelled, so that
the map can be predicted one frame ahead and rewound to any remembered frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.tissue.store.gaussians import NEIGHBOURS


@dataclass(frozen=True)
class GraphConfig:
    """Sizes relative to the field of view, so that they hold for relative scale too."""

    capacity: int = 1200  # nodes; about 300 are in view
    spacing: float = 0.11  # of the width of the view at the median depth of the first frame
    reach: float = 0.6  # of the spacing; standard deviation of the skinning weights
    edges: int = 6  # nearest nodes that each is tied to
    tear_stretch: float = 1.5  # an edge longer than this, relative to its rest length ...
    tear_frames: int = 5  # ... for so many frames in a row is cut
    rest_adaption: float = 0.02  # share by which a rest length follows the length per frame
    largest_step: float = 0.3  # of the spacing that a prediction moves a node
    most_persistent: float = 0.9  # below one, so that no velocity lasts without a measurement
    unmeasured_decay: float = 0.7  # factor per frame on the velocity of nodes that nothing measures
    persistence_memory: float = 0.8  # of the running estimate of how far motion carries on


class DeformationGraph:
    """Nodes, edges and skinning of one map.

    Args:
        spacing: metres between nodes.
        config: limits.
    """

    def __init__(self, spacing: float, config: GraphConfig) -> None:
        self.config = config
        self.spacing = spacing
        self.count = 0
        self._positions = np.zeros((config.capacity, 3))
        self._velocity = np.zeros((config.capacity, 3))
        self._travelled = np.zeros((config.capacity, 3))
        self.edges = np.empty((0, 2), np.int64)
        self._rest = np.empty(0)
        self._stretched = np.empty(0, np.int64)
        self._cut: set[tuple[int, int]] = set()
        self._carried, self._moved = 0.0, 0.0

    def state(self) -> dict[str, np.ndarray]:
        """Everything by name, for `restored`."""
        return {
            "spacing": np.array(self.spacing),
            "positions": self.positions,
            "velocity": self.velocity,
            "travelled": self.travelled,
            "edges": self.edges,
            "rest": self._rest,
            "stretched": self._stretched,
            "cut": np.array(sorted(self._cut), np.int64).reshape(-1, 2),
            "persistence": np.array([self._carried, self._moved]),
        }

    @classmethod
    def restored(cls, state: dict[str, np.ndarray], config: GraphConfig) -> DeformationGraph:
        """The graph of a `state`. Raises InputError where `config` allows fewer nodes."""
        count = len(state["positions"])
        if count > config.capacity:
            raise InputError(
                f"{count} graph nodes: accepted are as many as the capacity, {config.capacity}"
            )
        graph = cls(float(state["spacing"]), config)
        graph.count = count
        graph.positions[:] = state["positions"]
        graph.velocity[:] = state["velocity"]
        graph.travelled[:] = state["travelled"]
        graph.edges, graph._rest = state["edges"], state["rest"]
        graph._stretched = state["stretched"]
        graph._cut = set(map(tuple, state["cut"].tolist()))
        graph._carried, graph._moved = state["persistence"].tolist()
        return graph

    @property
    def positions(self) -> np.ndarray:
        """(M, 3) metres, map frame."""
        return self._positions[: self.count]

    @property
    def velocity(self) -> np.ndarray:
        """(M, 3) metres per second."""
        return self._velocity[: self.count]

    @property
    def travelled(self) -> np.ndarray:
        """(M, 3) metres that each node has moved since it was created."""
        return self._travelled[: self.count]

    @property
    def persistence(self) -> float:
        """0..1: the share of a velocity that the next frame shows again (AR(1) coefficient)."""
        if self._moved <= 0:
            return 0.0
        return float(np.clip(self._carried / self._moved, 0, self.config.most_persistent))

    def bind(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tie points to their nearest nodes; creates nodes where none is near.

        Args:
            points: (N, 3) metres, map frame; at least one.

        Returns:
            (N, 4) int32 nodes and (N, 4) float32 weights that sum to one.
        """
        self._cover(points)
        wanted = min(NEIGHBOURS, self.count)
        distance, index = cKDTree(self.positions).query(points, k=wanted)
        distance, index = distance.reshape(-1, wanted), index.reshape(-1, wanted)
        further = (distance - distance[:, :1]) / (self.config.reach * self.spacing)
        weight = np.exp(-0.5 * further**2)
        filler = ((0, 0), (0, NEIGHBOURS - wanted))
        weight = np.pad(weight / weight.sum(axis=1, keepdims=True), filler)
        return np.pad(index, filler).astype(np.int32), weight.astype(np.float32)

    def skin(self, index: np.ndarray, weight: np.ndarray) -> csr_matrix:
        """(N, M) sparse matrix that takes node displacements to points."""
        starts = np.arange(0, index.size + 1, index.shape[1])
        return csr_matrix((weight.ravel(), index.ravel(), starts), (len(index), self.count))

    def move(self, displacement: np.ndarray) -> None:
        """Displace every node, (M, 3) metres."""
        self._positions[: self.count] += displacement
        self._travelled[: self.count] += displacement

    def rescale(self, factor: float) -> None:
        """All lengths become larger by a factor; shares and what is cut stay."""
        self.spacing *= factor
        self._positions *= factor
        self._velocity *= factor
        self._travelled *= factor
        self._rest = factor * self._rest
        self._carried, self._moved = factor**2 * self._carried, factor**2 * self._moved

    def predict(self, dt: float) -> np.ndarray:
        """(M, 3) metres that the nodes are expected to move in `dt` seconds."""
        step = self.persistence * dt * self.velocity
        length = np.linalg.norm(step, axis=1, keepdims=True)
        limit = self.config.largest_step * self.spacing
        return step * np.minimum(1, limit / np.maximum(length, 1e-12))

    def decay(self) -> None:
        """A frame passed without a measurement: velocities die out as they have been seen to."""
        self._velocity[: self.count] *= self.persistence

    def learn(self, displacement: np.ndarray, dt: float, seen: np.ndarray) -> None:
        """Take the velocity from one frame's whole displacement (M, 3) over `dt` seconds.

        Args:
            seen: (M,) bool nodes whose motion was measured; they alone teach the persistence.
        """
        velocity = displacement / dt
        memory = self.config.persistence_memory
        before, now = self.velocity[seen], velocity[seen]
        self._carried = memory * self._carried + float((before * now).sum())
        self._moved = memory * self._moved + float((before * before).sum())
        velocity[~seen] *= self.config.unmeasured_decay
        self._velocity[: self.count] = velocity

    def tear(self) -> int:
        """Cut edges that stay stretched; returns how many. Rest lengths follow slowly."""
        c = self.config
        length = np.linalg.norm(np.subtract(*self.positions[self.edges.T]), axis=1)
        over = length > c.tear_stretch * self._rest
        self._stretched = np.where(over, self._stretched + 1, 0)
        self._rest += c.rest_adaption * np.where(over, 0, length - self._rest)
        gone = self._stretched >= c.tear_frames
        self._cut.update(map(tuple, self.edges[gone].tolist()))
        self._keep_edges(~gone)
        return int(gone.sum())

    def keep(self, used: np.ndarray) -> np.ndarray:
        """Drop nodes that carry nothing, (M,) bool `used`.

        Returns:
            (M,) int32 the new number of every old node, -1 where it is gone.
        """
        renumbered = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
        for values in (self._positions, self._velocity, self._travelled):
            values[: used.sum()] = values[: self.count][used]
        self.count = int(used.sum())
        self._keep_edges(used[self.edges].all(axis=1))
        self.edges = renumbered[self.edges].astype(np.int64)
        pairs = (tuple(renumbered[list(pair)].tolist()) for pair in self._cut)
        self._cut = {pair for pair in pairs if min(pair) >= 0}
        return renumbered

    def _cover(self, points: np.ndarray) -> None:
        """New nodes, one per cell of the spacing, where points are far from every node."""
        if self.count:
            distance, _ = cKDTree(self.positions).query(points)
            points = points[distance > self.spacing]
        room = self.config.capacity - self.count
        if not len(points) or not room:
            return
        cells = np.floor(points / self.spacing).astype(np.int64)
        _, owner, share = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
        owner = owner.ravel()
        sums = [np.bincount(owner, points[:, axis]) for axis in range(3)]
        fresh = (np.stack(sums, axis=1) / share[:, None])[:room]
        rows = slice(self.count, self.count + len(fresh))
        self._inherit(fresh, rows)
        self._positions[rows] = fresh
        self.count += len(fresh)
        self._tie()

    def _inherit(self, fresh: np.ndarray, rows: slice) -> None:
        """A new node moves as its nearest one does; it has travelled nowhere."""
        self._travelled[rows] = 0
        self._velocity[rows] = 0
        if self.count:
            _, nearest = cKDTree(self.positions).query(fresh)
            self._velocity[rows] = self._velocity[nearest]

    def _tie(self) -> None:
        """Edges to the nearest nodes; old ones keep their rest length, cut ones stay cut."""
        wanted = min(self.config.edges + 1, self.count)
        _, index = cKDTree(self.positions).query(self.positions, k=wanted)
        index = index.reshape(-1, wanted)
        pairs = np.stack([np.repeat(index[:, 0], wanted - 1), index[:, 1:].ravel()], axis=1)
        cut = np.array(sorted(self._cut), np.int64).reshape(-1, 2)
        taken = np.concatenate([self._keys(self.edges), self._keys(cut)])
        fresh = np.setdiff1d(self._keys(np.sort(pairs, axis=1)), taken)
        fresh = np.stack(np.divmod(fresh, self.config.capacity), axis=1)
        self.edges = np.concatenate([self.edges, fresh])
        length = np.linalg.norm(np.subtract(*self.positions[fresh.T]), axis=1)
        self._rest = np.concatenate([self._rest, length])
        self._stretched = np.concatenate([self._stretched, np.zeros(len(fresh), np.int64)])

    def _keys(self, pairs: np.ndarray) -> np.ndarray:
        """(E,) int64 one number per pair of nodes (E, 2)."""
        return pairs[:, 0].astype(np.int64) * self.config.capacity + pairs[:, 1]

    def _keep_edges(self, kept: np.ndarray) -> None:
        self.edges, self._rest = self.edges[kept], self._rest[kept]
        self._stretched = self._stretched[kept]
