"""Which points of a scene the pictures have shown so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import trimesh

from endosfm3d_ros.datasets.formats.surface_truth import Surface
from endosfm3d_ros.datasets.formats.tool_truth import ToolMesh
from endosfm3d_ros.datasets.simulation.truth import TOLERANCE
from endosfm3d_ros.geometry.camera import PinholeCamera

DENSITY = 1e6  # points per square metre of an instrument
AROUND = np.ones((3, 3), np.uint8)  # pixels that may hold the depth of a point


@dataclass(frozen=True)
class Shot:
    """One picture, and all points of the scene at its time in the same order every time."""

    surface: Surface  # seen or not
    camera: PinholeCamera
    depth: np.ndarray  # (H, W) float32 metres
    instances: np.ndarray  # (H, W) uint8, 0 = tissue

    def visible(self) -> np.ndarray:
        """(N,) bool: the pixel of a point shows its depth and what it belongs to."""
        height, width = self.depth.shape
        pixels = np.nan_to_num(self.camera.project(self.surface.points), nan=-1.0)
        column, row = np.round(pixels).astype(int).T
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at, z = (row[inside], column[inside]), self.surface.points[inside, 2]
        nearest, farthest = cv2.erode(self.depth, AROUND), cv2.dilate(self.depth, AROUND)
        shown = (z > nearest[at] - TOLERANCE) & (z < farthest[at] + TOLERANCE)
        inside[inside] = shown & (self.instances[at] == self.surface.labels[inside])
        return inside


class SeenSoFar:
    """Remembers for each frame what it and those before it show.

    Args:
        shoot: gives the picture of a frame; called once for each, in order.
    """

    def __init__(self, shoot: Callable[[int], Shot]) -> None:
        self._shoot = shoot
        self._seen: list[np.ndarray] = []

    def surface(self, i: int) -> Surface:
        """The points seen until frame `i`, where they are in that frame."""
        while len(self._seen) <= i:
            visible = self._shoot(len(self._seen)).visible()
            self._seen.append(visible | self._seen[-1] if self._seen else visible)
        surface, seen = self._shoot(i).surface, self._seen[i]
        return Surface(surface.points[seen], surface.labels[seen])


def surface_points(mesh: ToolMesh) -> np.ndarray:
    """(N, 3) float32 points spread evenly over an instrument, the same every time."""
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    points, _ = trimesh.sample.sample_surface(surface, int(DENSITY * surface.area), seed=0)
    return np.asarray(points, np.float32)
