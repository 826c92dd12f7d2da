"""Clouds of many frames as one, with bounded memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.scene.cloud import joined, rows
from endosfm3d_ros.types import Cloud

MIN_CONFIDENCE = 0.1


class CloudAccumulator:
    """Keeps the most confident point of every voxel in the map frame.

    Args:
        voxel: edge in metres; doubled whenever more than `limit` points would remain.
        limit: points kept at most.
    """

    def __init__(self, voxel: float = 0.0004, limit: int = 1_000_000) -> None:
        self.voxel = voxel
        self.limit = limit
        self._cloud: Cloud | None = None

    @property
    def cloud(self) -> Cloud | None:
        """Everything so far in the map frame; None before the first points."""
        return self._cloud

    def add(self, cloud: Cloud, T_map_camera: np.ndarray) -> None:
        """Enter a cloud that is expressed in the camera frame."""
        good = rows(cloud, cloud.confidence > MIN_CONFIDENCE)
        moved = replace(
            good,
            points=se3.transform(T_map_camera, good.points),
            normals=(good.normals @ T_map_camera[:3, :3].T).astype(np.float32),
        )
        self._cloud = self._thinned(moved if self._cloud is None else joined([self._cloud, moved]))
        while len(self._cloud.points) > self.limit:
            self.voxel *= 2
            self._cloud = self._thinned(self._cloud)

    def _thinned(self, cloud: Cloud) -> Cloud:
        order = np.argsort(-cloud.confidence, kind="stable")
        cells = np.floor(cloud.points[order] / self.voxel).astype(np.int64)
        keys = (cells * (1, 1_000_003, 1_000_003**2)).sum(axis=1)
        _, first = np.unique(keys, return_index=True)
        return rows(cloud, order[first])
