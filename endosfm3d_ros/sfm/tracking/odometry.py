"""What a located key frame means for the poses that are published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe, rotated
from endosfm3d_ros.sfm.tracking.localisation import Located
from endosfm3d_ros.types import CameraPose, TrackingState


def accepted(keyframe: Keyframe, located: Located) -> CameraPose:
    """The pose of a camera that sees a key frame from there."""
    T_odom = se3.normalised(keyframe.T_odom @ se3.inverse(located.T_camera_keyframe))
    T_map_odom = se3.normalised(keyframe.T_map @ se3.inverse(keyframe.T_odom))
    own = rotated(located.covariance, (T_map_odom @ T_odom)[:3, :3])
    covariance, inliers = keyframe.covariance + own, len(located.index)
    return CameraPose(T_odom, T_map_odom, covariance, TrackingState.TRACKING, inliers)


def held(pose: CameraPose, inflation: float) -> CameraPose:
    """The same pose, believed less: its covariance grows by a factor, up to 1."""
    doubt = np.minimum(pose.covariance * inflation + np.eye(6) * 1e-8, 1.0)
    return replace(pose, covariance=doubt, state=TrackingState.LOST, inliers=0)


def tied(
    pose: CameraPose, keyframe: Keyframe, T_camera_keyframe: np.ndarray
) -> tuple[CameraPose, Keyframe]:
    """Odometry goes on without a step with a key frame (4x4) that was put right: the map moves."""
    T_odom = se3.normalised(pose.T_odom_camera @ T_camera_keyframe)
    T_map_odom = se3.normalised(keyframe.T_map @ se3.inverse(T_odom))
    return replace(pose, T_map_odom=T_map_odom), replace(keyframe, T_odom=T_odom)


def plausible(
    pose: CameraPose, keyframe: Keyframe, located: Located, max_step: float, max_turn: float
) -> bool:
    """Whether the step from a pose is one that a scope can make; in units of the map and rad."""
    T_odom = keyframe.T_odom @ se3.inverse(located.T_camera_keyframe)
    step = se3.inverse(pose.T_odom_camera) @ T_odom
    return bool(np.linalg.norm(step[:3, 3]) < max_step and se3.rotation_angle(step) < max_turn)
