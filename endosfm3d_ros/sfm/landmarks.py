"""The points that a new key frame starts with."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.localisation import View
from endosfm3d_ros.sfm.motion_config import MotionConfig
from endosfm3d_ros.sfm.sampling import depth_along, resized_mask, tissue_mask
from endosfm3d_ros.sfm.scale_sources import Landmarks
from endosfm3d_ros.sfm.tracks import corners
from endosfm3d_ros.types import DepthMap, Frame

REACH = 0.05  # of the width over which a point tells about its surroundings
CAUTION = 0.05  # weight of all points together where none is near


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


def shaped(
    pixels: np.ndarray, points: np.ndarray, known: Landmarks, depth: DepthMap, camera: PinholeCamera
) -> np.ndarray:
    """New points (N, 3) at pixels (N, 2), put to the depth that known points around them ask for.

    Points that were followed have found their depth by parallax; depth of a single eye has not. How
    much it is off changes slowly over the image.
    """
    there = depth_along(camera.unproject(known.pixels), depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(known.depth) - np.log(there)
    usable = np.isfinite(ratios)
    if not usable.any():
        return points
    ratios, places = ratios[usable], known.pixels[usable]
    apart = np.square(pixels[:, None] - places[None]).sum(axis=2) / (REACH * known.size[0]) ** 2
    weights = np.exp(-apart / 2) + CAUTION / len(places)
    return points * np.exp(weights @ ratios / weights.sum(axis=1))[:, None]
