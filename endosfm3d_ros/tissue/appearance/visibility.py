"""Which Gaussians a view shows, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.appearance.rendering import Rendering


@dataclass(frozen=True)
class Visibility:
    """Which Gaussians the view shows, and on which pixel."""

    slots: np.ndarray  # (n,) int64 inside the view
    row: np.ndarray  # (n,) int64
    column: np.ndarray  # (n,) int64
    z: np.ndarray  # (n,) float32
    surface: np.ndarray  # (n,) bool on the surface that the view shows, not behind it


def project(view: Rendering, surface: float) -> Visibility:
    """Pixel and visibility of every Gaussian whose centre lies in the view."""
    height, width = view.depth.shape
    column, row = np.rint(view.pixels).astype(np.int64).T
    slots = np.flatnonzero(
        view.shown & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    )
    row, column, z = row[slots], column[slots], view.z[slots]
    front = view.depth[row, column]
    return Visibility(slots, row, column, z, z < front * (1 + surface))


def pixels_as_rays(camera: PinholeCamera, pixels: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of an undistorted camera to x/z and y/z."""
    return (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
