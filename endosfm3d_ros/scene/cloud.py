"""Clouds: of one frame as the depth image shows it, and put together or picked from others."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from endosfm3d_ros.geometry.clouds import grid_normals, lift, stride_for
from endosfm3d_ros.types import Cloud, CloudLabel, DepthMap

COLUMNS = tuple(field.name for field in fields(Cloud))


def cloud_from_depth(depth: DepthMap, image: np.ndarray, max_points: int) -> Cloud:
    """Coloured points of a depth map in its own camera frame.

    Args:
        depth: the map.
        image: (H, W, 3) uint8 RGB of the same size and camera.
        max_points: pixels are sub-sampled on a regular grid until no more than these remain.
    """
    height, width = depth.depth.shape
    stride = stride_for(width, height, max_points)
    points = lift(depth.depth, depth.camera, stride)
    valid = np.isfinite(points[..., 2])
    normals = grid_normals(points)
    return Cloud(
        points=points[valid],
        colors=image[::stride, ::stride][valid],
        normals=normals[valid],
        confidence=depth.confidence[::stride, ::stride][valid],
        labels=np.full(int(valid.sum()), CloudLabel.MEASURED, np.uint8),
    )


def rows(cloud: Cloud, index: np.ndarray | slice) -> Cloud:
    """The points of an index, mask or slice."""
    return Cloud(*(getattr(cloud, name)[index] for name in COLUMNS))


def joined(clouds: list[Cloud]) -> Cloud:
    """All points of several clouds."""
    return Cloud(*(np.concatenate([getattr(c, name) for c in clouds]) for name in COLUMNS))


def thinned(cloud: Cloud, limit: int) -> Cloud:
    """Every n-th point, so that at most `limit` remain."""
    return rows(cloud, slice(None, None, max(1, -(-len(cloud.points) // limit))))
