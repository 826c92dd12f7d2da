"""From one image to the next where the key frame does not help: odometry in a new piece.

The shape of a key frame that comes from one image may be wrong, and a view that turns quickly
shows other tissue. Neighbouring images still see the same points; each point takes the depth of
its own image, and what fits most of them is the motion, however roughly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.sfm.features.optical_flow import follow
from endosfm3d_ros.sfm.features.sampling import depth_along
from endosfm3d_ros.sfm.solvers.pose_refinement import Correspondences, ransac_pose, refine_pose
from endosfm3d_ros.sfm.tracking.followed import FollowedPoints
from endosfm3d_ros.sfm.tracking.localisation import View
from endosfm3d_ros.types import DepthMap


@dataclass(frozen=True)
class BridgeConfig:
    """Lengths in px refer to images of the tracking width."""

    points: int = 40  # that both images see
    window: int = 21  # px
    round_trip: float = 1.0  # px
    thresholds: tuple[float, ...] = (4.0, 8.0, 16.0)  # px, of points that agree; the first will do
    share: float = 0.5  # of the points that must


@dataclass(frozen=True)
class Bridge:
    """The motion between two images."""

    T_current_previous: np.ndarray  # 4x4
    covariance: np.ndarray  # (6, 6) of a small motion on the left
    points: int  # that agree


def bridged(
    followed: FollowedPoints, depth: DepthMap, view: View, config: BridgeConfig, levels: int = 4
) -> Bridge | None:
    """The motion since the image of the followed points; None where too few agree on one.

    Args:
        followed: points of the previous image.
        depth: of the previous image, in the scale of the map.
        view: this image.
        config: settings.
        levels: of the pyramid above the images.
    """
    if followed.raw is None or len(followed) < config.points:
        return None
    if followed.raw.shape != view.raw.shape:
        return None
    there, good = follow(
        followed.raw, view.raw, followed.pixels,
        window=config.window, levels=levels, round_trip=config.round_trip,
    )  # fmt: skip
    rays = view.camera.unproject(followed.pixels)
    points = rays * depth_along(rays, depth)[:, None]
    good &= np.isfinite(points).all(axis=1)
    if good.sum() < config.points:
        return None
    return _agreed(points[good], there[good], view, config)


def _agreed(
    points: np.ndarray, pixels: np.ndarray, view: View, config: BridgeConfig
) -> Bridge | None:
    """The motion that most points (N, 3) seen at pixels (N, 2) agree on."""
    rays, K = view.camera.unproject(pixels), view.camera.K
    seen, unknown = rays[:, :2] @ K[:2, :2].T + K[:2, 2], np.full(len(points), np.nan)
    for threshold in config.thresholds:
        data = Correspondences(points, seen, unknown, K, threshold / 2, 1.0)
        found = ransac_pose(data, threshold)
        if found is None or len(found[1]) < config.share * len(points):
            continue
        T, covariance = refine_pose(found[0], data.subset(found[1]))
        if np.isfinite(T).all():
            # the shape is wrong in the same way everywhere: as if few points had been seen
            return Bridge(T, covariance * len(found[1]) / 6, len(found[1]))
    return None
