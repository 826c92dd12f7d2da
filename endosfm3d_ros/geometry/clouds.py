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


def grid_triangles(depth: np.ndarray, jump: float = 0.05) -> np.ndarray:
    """(F, 3) int64 triangles between neighbouring pixels, facing the camera, as flat pixel indices.

    Args:
        depth: (H, W) float32 along z, NaN invalid.
        jump: largest difference of depth within a triangle over its depth.
    """
    index = np.arange(depth.size).reshape(depth.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    halves = (np.stack([a, c, b], axis=-1), np.stack([b, c, d], axis=-1))
    faces = np.concatenate([half.reshape(-1, 3) for half in halves])
    corners = depth.ravel()[faces]
    with np.errstate(invalid="ignore"):
        close = np.ptp(corners, axis=1) < jump * corners.min(axis=1)
    return faces[close]
