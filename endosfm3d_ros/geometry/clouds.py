"""Points and normals from depth images."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera


def stride_for(width: int, height: int, limit: int) -> int:
    """The smallest sub-sampling of an image that leaves at most `limit` pixels."""
    return max(1, int(np.ceil(np.sqrt(width * height / max(1, limit)))))


def lift(depth: np.ndarray, camera: PinholeCamera, stride: int = 1) -> np.ndarray:
    """(h, w, 3) float32 points of every `stride`-th pixel in the camera frame; NaN invalid."""
    v, u = np.mgrid[0 : depth.shape[0] : stride, 0 : depth.shape[1] : stride].astype(np.float32)
    z = depth[::stride, ::stride]
    x = (u - np.float32(camera.cx)) * np.float32(1 / camera.fx) * z
    y = (v - np.float32(camera.cy)) * np.float32(1 / camera.fy) * z
    return np.stack([x, y, z], axis=-1)


def grid_normals(points: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 unit normals towards the camera by central differences; NaN unknown."""
    across = np.full_like(points, np.nan)
    down = np.full_like(points, np.nan)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    normals = np.cross(down, across)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = normals / np.where(length > 0, length, np.nan)
        flip = (normals * points).sum(axis=-1, keepdims=True) > 0
    return np.where(flip, -normals, normals).astype(np.float32)
