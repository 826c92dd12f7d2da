"""Where the camera is relative to a key frame: first roughly, then precisely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.optical_flow import follow
from endosfm3d_ros.sfm.features.sampling import depth_along
from endosfm3d_ros.sfm.features.tracking_image import TrackingImage
from endosfm3d_ros.sfm.solvers.pose_refinement import (
    NEAR,
    Correspondences,
    PosePrior,
    ransac_pose,
    refine_pose,
)
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe, found_again
from endosfm3d_ros.types import DepthMap, ScaleSource


@dataclass(frozen=True)
class LocalisationConfig:
    """Lengths in px refer to images of the tracking width."""

    window: int = 15  # px; a smaller patch leans less on the shape of the surface
    levels: int = 4  # pyramid of the frame-to-frame step
    rough_points: int = 150  # that the frame-to-frame step follows: it only has to come near
    round_trip: float = 0.5  # px
    ransac: float = 2.0  # px
    ransac_one_eye: float = 4.0  # px; its depth bends the points of a new key frame by as much
    gate: float = 6.0  # px from where the rough pose expects a point
    min_inliers: int = 25
    min_inlier_share: float = 0.35
    pixel_sigma: float = 0.5  # px
    prior_translation: float = 0.3  # of the points' median depth: decides what points leave open
    prior_rotation: float = 0.2  # rad


@dataclass(frozen=True)
class View:
    """The image that is to be located."""

    raw: np.ndarray  # (H, W) uint8 as seen: its broad light and dark guide large steps
    grey: np.ndarray  # (H, W) uint8 with even light, for precise places
    camera: PinholeCamera  # of both, distorted where they are
    depth: DepthMap | None  # measured, to tell sideways motion from rotation; None: not believed
    depth_sigma: float  # relative


@dataclass(frozen=True)
class Located:
    """A pose, and the points of the key frame that agree with it."""

    T_camera_keyframe: np.ndarray  # 4x4
    covariance: np.ndarray  # (6, 6) of a small motion on the left
    index: np.ndarray  # (K,) rows of the key frame
    pixels: np.ndarray  # (K, 2) float32


def view_of(image: TrackingImage, lens: PinholeCamera, depth: DepthMap, depth_sigma: float) -> View:
    """An image for tracking with the camera that took it, of any size, distorted where it is."""
    size = image.raw.shape[1], image.raw.shape[0]
    camera = depth.camera.resized(*size).with_lens_of(lens)
    # The depth of one eye is put right by the points, so it must not judge them.
    relative = depth.scale == ScaleSource.RELATIVE
    return View(image.raw, image.even, camera, None if relative else depth, depth_sigma)


def locate(
    before: np.ndarray,
    pixels: np.ndarray,
    alive: np.ndarray,
    keyframe: Keyframe,
    view: View,
    config: LocalisationConfig,
    last: np.ndarray,
    foreseen: np.ndarray | None,
) -> Located | None:
    """Roughly from the last image, then precisely from the key frame.

    Args:
        before, pixels, alive, keyframe, view, config: as in `coarse`.
        last: 4x4 T_camera_keyframe of the last image.
        foreseen: 4x4 of this one, if somebody says so: tried where points cannot be followed
            without it, and kept for what they leave open where it fits them better than `last`.
    """
    tracks, points = (before, pixels, alive, keyframe, view, config), keyframe.points[alive]
    T = coarse(*tracks)
    if T is None and foreseen is not None:
        T = coarse(*tracks, guess=seen_from(foreseen, points, view.camera))
    if T is None:
        return None
    if foreseen is not None:
        last = nearer(T, (last, foreseen), points, view.camera)
    return fine(T, keyframe, view, config, last)


def coarse(
    before: np.ndarray,
    pixels: np.ndarray,
    alive: np.ndarray,
    keyframe: Keyframe,
    view: View,
    config: LocalisationConfig,
    guess: np.ndarray | None = None,
) -> np.ndarray | None:
    """T_camera_keyframe from the tracks since the last image, or None where too few agree.

    Args:
        before: (H, W) uint8 the last believed image, as seen.
        pixels: (K, 2) float32 where its points were.
        alive: (K,) their rows in the key frame.
        keyframe: the points.
        view: the image.
        config: settings.
        guess: (K, 2) float32 where the points are expected; their old place if not given.
    """
    c = config
    some = np.linspace(0, len(alive) - 1, min(len(alive), c.rough_points)).astype(int)
    pixels, alive, guess = pixels[some], alive[some], None if guess is None else guess[some]
    there, good = follow(
        before, view.raw, pixels, guess, window=c.window, levels=c.levels, round_trip=None
    )
    if good.sum() < c.min_inliers:
        return None
    data = correspondences(keyframe, alive[good], there[good], view, c)
    solution = ransac_pose(data, c.ransac_one_eye if view.depth is None else c.ransac)
    if solution is None:
        return None
    T, inliers = solution
    if len(inliers) < max(c.min_inliers, c.min_inlier_share * good.sum()):
        return None
    T = refine_pose(T, data.subset(inliers), tolerance=NEAR)[0]
    return T if np.isfinite(T).all() else None


def seen_from(T: np.ndarray, points: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """(N, 2) float32 where a camera at T sees points (N, 3); behind it: the image's middle."""
    pixels = camera.project(se3.transform(T, points))
    return np.where(np.isfinite(pixels), pixels, (camera.cx, camera.cy)).astype(np.float32)


def nearer(
    T: np.ndarray, candidates: tuple[np.ndarray, ...], points: np.ndarray, camera: PinholeCamera
) -> np.ndarray:
    """The candidate (4x4) that sees points (N, 3) most as a camera at T does."""
    there = seen_from(T, points, camera)
    return min(
        candidates,
        key=lambda other: np.median(
            np.linalg.norm(seen_from(other, points, camera) - there, axis=1)
        ),
    )


def fine(
    T: np.ndarray, keyframe: Keyframe, view: View, config: LocalisationConfig,
    expected_pose: np.ndarray,
) -> Located | None:  # fmt: skip
    """The precise pose from the key frame's own patches, near the rough one `T`.

    `expected_pose` (4x4 T_camera_keyframe) decides directions that the points leave open.
    """
    c = config
    # 1 where its points are in this image
    link = found_again(
        keyframe, T, view.grey, view.camera,
        window=c.window, round_trip=c.round_trip, gate=c.gate,
    )  # fmt: skip
    if len(link.index) < c.min_inliers:
        return None
    # 2 the pose that explains them
    middle = float(np.median(keyframe.points[link.index, 2]))
    prior = PosePrior(expected_pose, c.prior_translation * middle, c.prior_rotation)
    data = correspondences(keyframe, link.index, link.pixels, view, c)
    T, covariance = refine_pose(T, data, prior)
    if not np.isfinite(T).all():
        return None
    return Located(T, covariance, link.index, link.pixels)


def correspondences(
    keyframe: Keyframe,
    index: np.ndarray,
    pixels: np.ndarray,
    view: View,
    config: LocalisationConfig,
) -> Correspondences:
    """Points of a key frame and where the view sees them, without lens distortion."""
    rays = view.camera.unproject(pixels)
    K = view.camera.K
    unknown = np.full(len(rays), np.nan)
    return Correspondences(
        points=keyframe.points[index],
        pixels=rays[:, :2] @ K[:2, :2].T + K[:2, 2],
        depth=unknown if view.depth is None else depth_along(rays, view.depth),
        K=K,
        pixel_sigma=config.pixel_sigma,
        depth_sigma=view.depth_sigma,
    )
