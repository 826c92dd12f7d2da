"""The points that a new key frame starts with."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.optical_flow import corners
from endosfm3d_ros.sfm.features.sampling import depth_along, resized_mask, tissue_mask
from endosfm3d_ros.sfm.scale.sources import Landmarks
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import View
from endosfm3d_ros.sfm.tracking.motion_config import MotionConfig
from endosfm3d_ros.sfm.tracking.two_view import TwoViewConfig, two_view
from endosfm3d_ros.types import DepthMap, Frame

REACH = 0.06  # of the width over which a point tells about its surroundings
CAUTION = 0.05  # weight of all points together where none is near


def new_points(
    view: View, frame: Frame, depth: DepthMap, config: MotionConfig, known: Landmarks
) -> tuple[np.ndarray, np.ndarray]:
    """The known points, and corners between them.

    Points that were followed have found their depth by parallax; depth of a single eye has not. So
    they are handed on from key frame to key frame, and the new ones take their shape.

    Returns:
        (N, 2) float32 pixels and (N, 3) points in the camera frame.
    """
    pixels, points = _corners(view, frame, depth, config, known.pixels)
    if not len(known.pixels):
        return pixels, points
    points = shaped(pixels, points, known, depth, view.camera)
    handed_on = view.camera.unproject(known.pixels) * known.depth[:, None]
    return np.concatenate([known.pixels, pixels]), np.concatenate([handed_on, points])


def _corners(
    view: View, frame: Frame, depth: DepthMap, config: MotionConfig, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners on tissue where depth is believed, beside the places (K, 2) that are taken."""
    c, shape = config, view.grey.shape
    mask = resized_mask(depth.confidence > c.min_confidence, shape)
    mask = (mask & tissue_mask(frame, shape, c.highlight, c.dark)).astype(np.uint8)
    pixels = corners(view.grey, mask, c.points, c.quality, c.spacing, taken)
    rays = view.camera.unproject(pixels)
    measured = depth_along(rays, depth)
    known = np.isfinite(measured)
    return pixels[known], rays[known] * measured[known, None]


def shaped(
    pixels: np.ndarray, points: np.ndarray, known: Landmarks, depth: DepthMap, camera: PinholeCamera
) -> np.ndarray:
    """New points (N, 3) at pixels (N, 2), put to the depth that known points around them ask for.

    How much the depth of a single eye is off changes slowly over the image.
    """
    there = depth_along(camera.unproject(known.pixels), depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(known.depth) - np.log(there)
    usable = np.isfinite(ratios)
    if not usable.any():
        return points
    factor = _spread(pixels, known.pixels[usable], ratios[usable], known.size[0])
    return points * np.exp(factor)[:, None]


def triangulated(
    keyframe: Keyframe, index: np.ndarray, pixels: np.ndarray, config: TwoViewConfig
) -> np.ndarray | None:
    """Points (N, 3) of a key frame from parallax in place of a guess; None where it cannot tell.

    Args:
        keyframe: its points keep their median depth.
        index: (K,) rows of it that another image sees.
        pixels: (K, 2) where, in that image of the same camera.
        config: what parallax must be like.
    """
    f, centre = keyframe.camera.fx, (keyframe.camera.cx, keyframe.camera.cy)
    first, second = (
        f * keyframe.camera.unproject(places)[:, :2] + centre
        for places in (keyframe.pixels[index], pixels)
    )
    K = np.array([[f, 0, centre[0]], [0, f, centre[1]], [0, 0, 1]])
    found = two_view(first, second, K, config)
    if found is None:
        return None
    known = np.isfinite(found.points[:, 2]) & (keyframe.points[index, 2] > 0)
    ratios = np.log(found.points[known, 2]) - np.log(keyframe.points[index[known], 2])
    ratios -= np.median(ratios)
    factor = _spread(keyframe.pixels, keyframe.pixels[index[known]], ratios, keyframe.camera.width)
    factor[index[known]] = ratios
    return keyframe.points * np.exp(factor)[:, None]


def _spread(pixels: np.ndarray, places: np.ndarray, values: np.ndarray, width: float) -> np.ndarray:
    """(N,) values at pixels (N, 2) from those at places (K, 2) around them."""
    apart = np.square(pixels[:, None] - places[None]).sum(axis=2) / (REACH * width) ** 2
    weights = np.exp(-apart / 2) + CAUTION / len(places)
    return weights @ values / weights.sum(axis=1)
