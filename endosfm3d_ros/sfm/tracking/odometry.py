"""What a located key frame means for the poses that are published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe, drift, rotated
from endosfm3d_ros.sfm.tracking.localisation import Located
from endosfm3d_ros.types import CameraPose, TrackingState

ADRIFT, TURNED = 0.5, 0.3  # one standard deviation while lost: of the distance; rad


def accepted(keyframe: Keyframe, located: Located) -> CameraPose:
    """The pose of a camera that sees a key frame from there."""
    T_odom = se3.normalised(keyframe.T_odom @ se3.inverse(located.T_camera_keyframe))
    T_map_odom = se3.normalised(keyframe.T_map @ se3.inverse(keyframe.T_odom))
    own = rotated(located.covariance, (T_map_odom @ T_odom)[:3, :3])
    covariance = keyframe.covariance + own + drift(keyframe, located.T_camera_keyframe)
    inliers = len(located.index)
    return CameraPose(T_odom, T_map_odom, covariance, TrackingState.TRACKING, inliers)


def held(pose: CameraPose, inflation: float) -> CameraPose:
    """The same pose, believed less: its covariance grows by a factor, up to 1."""
    doubt = np.minimum(pose.covariance * inflation + np.eye(6) * 1e-8, 1.0)
    return replace(pose, covariance=doubt, state=TrackingState.LOST, inliers=0)


def adrift(pose: CameraPose, distance: float) -> CameraPose:
    """The held pose where tracking starts anew: somewhere within the distance of the scene."""
    least = np.diag([(ADRIFT * distance) ** 2] * 3 + [TURNED**2] * 3)
    return replace(pose, covariance=pose.covariance + least)


def tied(
    pose: CameraPose, keyframe: Keyframe, T_camera_keyframe: np.ndarray
) -> tuple[CameraPose, Keyframe]:
    """Odometry goes on without a step with a key frame (4x4) that was put right: the map moves."""
    T_odom = se3.normalised(pose.T_odom_camera @ T_camera_keyframe)
    T_map_odom = se3.normalised(keyframe.T_map @ se3.inverse(T_odom))
    return replace(pose, T_map_odom=T_map_odom), replace(keyframe, T_odom=T_odom)


def continued(
    pose: CameraPose, T_current_previous: np.ndarray, covariance: np.ndarray, inliers: int
) -> CameraPose:
    """The pose after a motion (4x4) whose (6, 6) covariance is of a small motion on the left."""
    T_odom = se3.normalised(pose.T_odom_camera @ se3.inverse(T_current_previous))
    own = rotated(covariance, (pose.T_map_odom @ T_odom)[:3, :3])
    return CameraPose(
        T_odom, pose.T_map_odom, pose.covariance + own, TrackingState.TRACKING, inliers
    )


def plausible(
    pose: CameraPose, keyframe: Keyframe, located: Located, max_step: float, max_turn: float
) -> bool:
    """Whether the step from a pose is one that a scope can make; in units of the map and rad."""
    T_odom = keyframe.T_odom @ se3.inverse(located.T_camera_keyframe)
    return within(pose, replace(pose, T_odom_camera=T_odom), max_step, max_turn)


def within(before: CameraPose, after: CameraPose, max_step: float, max_turn: float) -> bool:
    """Whether two poses are near to each other by odometry."""
    step = se3.inverse(before.T_odom_camera) @ after.T_odom_camera
    return bool(np.linalg.norm(step[:3, 3]) < max_step and se3.rotation_angle(step) < max_turn)
