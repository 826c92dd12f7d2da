"""Camera motion from points with depth: follow them, solve for the pose, between key frames.

Points live in the camera frame of the key frame that they were found in. Each image is compared
with that key frame itself, so errors add up from key frame to key frame, not from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.alignment import Correspondences, ransac_pose, refine_pose
from endosfm3d_ros.sfm.tracks import corners, follow, follow_unrolled
from endosfm3d_ros.types import CameraPose, DepthMap, Frame, ScaleSource, TrackingState


@dataclass(frozen=True)
class MotionConfig:
    """Values for 5 to 60 frames a second at 640 px; lengths in px refer to that width."""

    max_width: int = 640  # px; wider images are tracked at this width
    points: int = 600  # corners per key frame
    spacing: float = 8.0  # px between two corners
    quality: float = 0.005  # share of the strongest corner's response
    window: int = 15  # px; a smaller patch leans less on the shape of the surface
    levels: int = 4  # pyramid of the frame-to-frame step
    round_trip: float = 0.5  # px
    ransac: float = 2.0  # px
    min_inliers: int = 25
    min_inlier_share: float = 0.35
    keyframe_share: float = 0.6  # fewer of its points still seen make a new key frame
    keyframe_flow: float = 64.0  # px; so does a larger median motion since
    max_step: float = 0.03  # m between two frames: a scope does not move faster
    max_turn: float = 0.35  # rad between two frames
    min_confidence: float = 0.05  # of the depth under a corner
    highlight: int = 230  # grey level of the darkest channel; highlights move with the lamp
    restart_after: int = 15  # lost frames after which tracking starts anew at the held pose
    pixel_sigma: float = 0.5  # px
    metric_depth_sigma: float = 0.003  # relative; median error of the stereo source
    relative_depth_sigma: float = 0.05  # relative; monocular depth flickers
    lost_inflation: float = 4.0  # factor on the covariance for every frame that is lost


@dataclass(frozen=True)
class Keyframe:
    """What later images are compared with."""

    T_odom: np.ndarray  # 4x4 its camera to odom
    covariance: np.ndarray  # (6, 6) of that
    grey: np.ndarray  # (H, W) uint8
    pixels: np.ndarray  # (N, 2) float32
    points: np.ndarray  # (N, 3) float64 in its camera frame


class MotionTracker:
    """Pose of every frame relative to the first one. `track` is the only verb."""

    def __init__(self, config: MotionConfig | None = None) -> None:
        self.config = config or MotionConfig()
        self.reset()

    def reset(self) -> None:
        """The next frame becomes the origin of odometry."""
        self._keyframe: Keyframe | None = None
        self._grey: np.ndarray | None = None
        self._alive = np.empty(0, np.int64)  # which points of the key frame are still followed
        self._pixels = np.empty((0, 2), np.float32)  # where they were in the last believed image
        self._lost = 0
        self._pose = CameraPose(
            np.eye(4), np.eye(4), np.zeros((6, 6)), TrackingState.INITIALISING, 0
        )

    def track(self, frame: Frame, depth: DepthMap) -> CameraPose:
        """Pose of this frame's camera; where it cannot be found the last one is held as LOST."""
        grey, camera = self._prepare(frame, depth)
        # 1 start, or start anew
        if self._keyframe is None or self._keyframe.grey.shape != grey.shape:
            return self._start(grey, camera, frame, depth)
        # 2 roughly: points followed from the last image
        T = self._coarse(grey, camera, depth)
        # 3 precisely: the key frame compared with this image
        found = None if T is None else self._fine(T, grey, camera, depth)
        if found is None or not self._plausible(found[0]):
            return self._hold()
        # 4 accept, and replace the key frame when it is left behind
        self._accept(grey, *found)
        if self._left_behind():
            self._make_keyframe(grey, camera, frame, depth)
        return self._pose

    def _prepare(self, frame: Frame, depth: DepthMap) -> tuple[np.ndarray, PinholeCamera]:
        """Grey image and its camera (distorted where the image is) at the tracking size."""
        height, width = frame.image.shape[:2]
        scale = min(1.0, self.config.max_width / width)
        size = round(width * scale), round(height * scale)
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        lens = frame.stereo.left if frame.stereo is not None else depth.camera
        return grey, replace(depth.camera.resized(*size), distortion=lens.distortion)

    def _start(
        self, grey: np.ndarray, camera: PinholeCamera, frame: Frame, depth: DepthMap
    ) -> CameraPose:
        if not self._make_keyframe(grey, camera, frame, depth):
            return self._hold()
        self._lost = 0
        self._pose = replace(self._pose, state=TrackingState.TRACKING, inliers=len(self._alive))
        return self._pose

    def _coarse(
        self, grey: np.ndarray, camera: PinholeCamera, depth: DepthMap
    ) -> np.ndarray | None:
        """T_camera_keyframe from frame-to-frame tracks, or None where too few agree."""
        c = self.config
        pixels, good = follow(
            self._grey, grey, self._pixels,
            window=c.window, levels=c.levels, round_trip=None,
        )  # fmt: skip
        if good.sum() < c.min_inliers:
            return None
        data = self._correspondences(self._alive[good], pixels[good], camera, depth)
        solution = ransac_pose(data, c.ransac)
        if solution is None:
            return None
        T, inliers = solution
        if len(inliers) < max(c.min_inliers, c.min_inlier_share * good.sum()):
            return None
        return refine_pose(T, data.subset(inliers))[0]

    def _fine(
        self, T: np.ndarray, grey: np.ndarray, camera: PinholeCamera, depth: DepthMap
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """(T_camera_keyframe, covariance, indices, pixels) from the key frame's own patches."""
        c, keyframe = self.config, self._keyframe
        expected = camera.project(se3.transform(T, keyframe.points))
        height, width = grey.shape
        seen = ((expected > 0) & (expected < (width - 1, height - 1))).all(axis=1)
        index = np.flatnonzero(seen)
        H = camera.K @ T[:3, :3] @ np.linalg.inv(camera.K)
        pixels, good = follow_unrolled(
            keyframe.grey, grey, keyframe.pixels[index], expected[index].astype(np.float32), H,
            window=c.window, levels=1, round_trip=c.round_trip,
        )  # fmt: skip
        good &= np.linalg.norm(pixels - expected[index], axis=1) < 3 * c.ransac
        if good.sum() < c.min_inliers:
            return None
        index, pixels = index[good], pixels[good]
        T, covariance = refine_pose(T, self._correspondences(index, pixels, camera, depth))
        return T, covariance, index, pixels

    def _correspondences(
        self, index: np.ndarray, pixels: np.ndarray, camera: PinholeCamera, depth: DepthMap
    ) -> Correspondences:
        c = self.config
        relative = depth.scale == ScaleSource.RELATIVE
        rays = camera.unproject(pixels)
        return Correspondences(
            points=self._keyframe.points[index],
            pixels=rays[:, :2] @ camera.K[:2, :2].T + camera.K[:2, 2],
            depth=_depth_along(rays, depth),
            K=camera.K,
            pixel_sigma=c.pixel_sigma,
            depth_sigma=c.relative_depth_sigma if relative else c.metric_depth_sigma,
        )

    def _plausible(self, T_camera_keyframe: np.ndarray) -> bool:
        """Whether the step since the last believed frame is one that a scope can make."""
        c, steps = self.config, self._lost + 1
        T_odom = self._keyframe.T_odom @ se3.inverse(T_camera_keyframe)
        step = se3.inverse(self._pose.T_odom_camera) @ T_odom
        near = np.linalg.norm(step[:3, 3]) < c.max_step * steps
        return bool(near and se3.rotation_angle(step) < c.max_turn * steps)

    def _accept(
        self,
        grey: np.ndarray,
        T_camera_keyframe: np.ndarray,
        covariance: np.ndarray,
        index: np.ndarray,
        pixels: np.ndarray,
    ) -> None:
        self._lost = 0
        self._grey, self._alive, self._pixels = grey, index, pixels
        self._pose = replace(
            self._pose,
            T_odom_camera=self._keyframe.T_odom @ se3.inverse(T_camera_keyframe),
            covariance=self._keyframe.covariance + covariance,
            state=TrackingState.TRACKING,
            inliers=len(index),
        )

    def _hold(self) -> CameraPose:
        """Keep the last pose, say that it is not believed any more, and maybe start anew."""
        self._lost += 1
        doubt = self._pose.covariance * self.config.lost_inflation + np.eye(6) * 1e-8
        self._pose = replace(
            self._pose, covariance=np.minimum(doubt, 1.0), state=TrackingState.LOST, inliers=0
        )
        if self._lost >= self.config.restart_after:
            self._keyframe = None
        return self._pose

    def _left_behind(self) -> bool:
        c, keyframe = self.config, self._keyframe
        moved = np.linalg.norm(self._pixels - keyframe.pixels[self._alive], axis=1)
        few = len(self._alive) < c.keyframe_share * len(keyframe.points)
        return bool(few or np.median(moved) > c.keyframe_flow)

    def _make_keyframe(
        self, grey: np.ndarray, camera: PinholeCamera, frame: Frame, depth: DepthMap
    ) -> bool:
        """New key frame at the current pose; False (and nothing changed) with too few points."""
        c = self.config
        mask = self._where_corners_may_lie(grey.shape, frame, depth)
        pixels = corners(grey, mask, c.points, c.quality, c.spacing)
        rays = camera.unproject(pixels)
        points = rays * _depth_along(rays, depth)[:, None]
        known = np.isfinite(points[:, 2])
        if known.sum() < c.min_inliers:
            return False
        self._keyframe = Keyframe(
            self._pose.T_odom_camera, self._pose.covariance, grey, pixels[known], points[known]
        )
        self._grey, self._pixels = grey, pixels[known]
        self._alive = np.arange(len(self._pixels))
        return True

    def _where_corners_may_lie(
        self, shape: tuple[int, int], frame: Frame, depth: DepthMap
    ) -> np.ndarray:
        """(H, W) uint8: believed depth, no highlights, no tools."""
        c = self.config
        believed = depth.confidence > c.min_confidence
        mask = _resize_mask(believed, shape)
        mask &= ~_grown(_resize_mask(frame.image.min(axis=-1) > c.highlight, shape), 7)
        if frame.tool_labels is not None:
            mask &= ~_grown(_resize_mask(frame.tool_labels > 0, shape), 15)
        return mask.astype(np.uint8)


def _resize_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bool mask at another size, nearest neighbour."""
    if mask.shape == shape:
        return mask
    size = shape[1], shape[0]
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)


def _grown(mask: np.ndarray, side: int) -> np.ndarray:
    """Bool mask dilated by a square of `side` px."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)


def _depth_along(rays: np.ndarray, depth: DepthMap) -> np.ndarray:
    """(N,) float64 depth that the map has along rays (N, 3); NaN where it has none."""
    if len(rays) == 0:
        return np.empty(0)
    u, v = depth.camera.project(rays).astype(np.float32).T
    outside = float("nan")
    sampled = cv2.remap(depth.depth, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, outside)
    return sampled[:, 0].astype(np.float64)
