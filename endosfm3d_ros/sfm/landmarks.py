"""The points that a new key frame starts with."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.sfm.localisation import View
from endosfm3d_ros.sfm.motion_config import MotionConfig
from endosfm3d_ros.sfm.sampling import depth_along, resized_mask, tissue_mask
from endosfm3d_ros.sfm.tracks import corners
from endosfm3d_ros.types import DepthMap, Frame


def landmarks(
    view: View, frame: Frame, depth: DepthMap, config: MotionConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Corners on tissue where depth is believed.

    Returns:
        (N, 2) float32 pixels and (N, 3) points in the camera frame.
    """
    c, shape = config, view.grey.shape
    mask = resized_mask(depth.confidence > c.min_confidence, shape)
    mask &= tissue_mask(frame, shape, c.highlight, c.dark)
    pixels = corners(view.grey, mask.astype(np.uint8), c.points, c.quality, c.spacing)
    rays = view.camera.unproject(pixels)
    measured = depth_along(rays, depth)
    known = np.isfinite(measured)
    return pixels[known], rays[known] * measured[known, None]
