"""Where the nodes and the camera were: a ring of past frames that the map can be rewound to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.store.gaussians import GaussianStore


class History:
    """The last `length` frames; the oldest is forgotten first.

    Args:
        length: frames; 300 of 400 nodes take 1.4 MB.
    """

    def __init__(self, length: int) -> None:
        self._frames: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=length)

    def record(self, stamp: int, graph: DeformationGraph, T_map_camera: np.ndarray) -> None:
        """Remember the state after the frame of this stamp."""
        self._frames.append((stamp, graph.travelled.astype(np.float32), T_map_camera.copy()))

    def renumber(self, renumbered: np.ndarray) -> None:
        """Follow `DeformationGraph.keep`."""
        kept = np.flatnonzero(renumbered >= 0)
        for k, (stamp, travelled, T) in enumerate(self._frames):
            self._frames[k] = stamp, travelled[kept[kept < len(travelled)]], T

    def rescale(self, factor: float) -> None:
        """Ways and poses become larger by a factor."""
        for k, (stamp, travelled, T) in enumerate(self._frames):
            self._frames[k] = stamp, travelled * np.float32(factor), se3.scaled(T, factor)

    @property
    def stamps(self) -> list[int]:
        """Stamps that are remembered, oldest first."""
        return [stamp for stamp, _, _ in self._frames]

    def pose(self, stamp: int) -> np.ndarray:
        """4x4 camera-to-map at a remembered stamp. Raises KeyError."""
        return self._find(stamp)[1]

    def means(self, stamp: int, store: GaussianStore, graph: DeformationGraph) -> np.ndarray:
        """(size, 3) float32 where the Gaussians of now were at a remembered stamp.

        Raises KeyError.
        """
        then = np.zeros_like(graph.travelled)  # nodes born later had travelled nowhere
        known, _ = self._find(stamp)
        then[: len(known)] = known[: len(then)]
        skin = graph.skin(store.view("node_index"), store.view("node_weight"))
        back = skin @ (graph.travelled - then)
        return (store.view("means") - back).astype(np.float32)

    @contextmanager
    def at_stamp(
        self, stamp: int, store: GaussianStore, graph: DeformationGraph
    ) -> Iterator[np.ndarray]:
        """Inside, the Gaussians are where they were; gives the pose (4x4). Raises KeyError."""
        now = store.view("means").copy()
        store.view("means")[:] = self.means(stamp, store, graph)
        try:
            yield self.pose(stamp)
        finally:
            store.view("means")[:] = now

    def _find(self, stamp: int) -> tuple[np.ndarray, np.ndarray]:
        for known, travelled, T in self._frames:
            if known == stamp:
                return travelled, T
        raise KeyError(stamp)
