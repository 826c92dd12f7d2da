"""Odometry goes on from image to image where the key frame does not help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.features.tracking_image import TrackingImage
from endosfm3d_ros.sfm.tracking.bridge import BridgeConfig, bridged
from endosfm3d_ros.sfm.tracking.followed import FollowedPoints
from endosfm3d_ros.sfm.tracking.localisation import view_of
from endosfm3d_ros.sfm.tracking.motion import MotionTracker
from endosfm3d_ros.types import DepthMap, ScaleSource, TrackingState


@pytest.fixture(scope="module")
def clip():
    """(frame, exact depth, true pose) of three images."""
    sequence = SimulatedSequence("moving", frames=24, width=320, height=256, fps=10)
    rows = []
    for i in (0, 2, 4):
        frame, depth = sequence[i], sequence.reference_depth(i).astype(np.float32)
        exact = DepthMap(
            depth, np.ones_like(depth), frame.camera, "exact", ScaleSource.RELATIVE, frame.stamp
        )
        rows.append((frame, exact, sequence.reference_pose(i)))
    return rows


def corners_of(frame) -> FollowedPoints:
    u, v = np.meshgrid(np.arange(20, 300, 16), np.arange(20, 236, 16))
    pixels = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float32)
    return FollowedPoints(TrackingImage.of(frame.image, 640).raw, np.arange(len(pixels)), pixels)


def test_the_motion_between_two_images_is_found_however_roughly(clip):
    (first, depth, T_first), (second, other, T_second), _ = clip
    view = view_of(TrackingImage.of(second.image, 640), second.camera, other, 0.2)
    rough = replace(depth, depth=depth.depth * np.linspace(0.8, 1.2, 320, dtype=np.float32))
    truth = se3.inverse(T_second) @ T_first
    for shape, limit in ((depth, 3e-4), (rough, 3e-3)):
        found = bridged(corners_of(first), shape, view, BridgeConfig())
        assert np.linalg.norm((found.T_current_previous - truth)[:3, 3]) < limit
        assert found.covariance[0, 0] > 0


def test_images_that_show_different_things_are_not_bridged(clip):
    (first, depth, _), (second, other, _), _ = clip
    blank = np.zeros_like(second.image)
    view = view_of(TrackingImage.of(blank, 640), second.camera, other, 0.2)
    assert bridged(corners_of(first), depth, view, BridgeConfig()) is None
    assert bridged(FollowedPoints(), depth, view, BridgeConfig()) is None


def test_a_key_frame_of_wrong_shape_is_left_for_a_new_piece(clip):
    tracker = MotionTracker()
    (first, depth, T_first), (second, other, T_second), (third, last, T_third) = clip
    tracker.track(first, depth)
    shuffled = np.random.default_rng(0).permutation(tracker._keyframe.points)
    tracker._keyframe = replace(tracker._keyframe, points=shuffled)
    tracker._window.views[-1] = tracker._keyframe
    for frame, shape, truth in ((second, other, T_second), (third, last, T_third)):
        pose = tracker.track(frame, shape).pose
        assert pose.state == TrackingState.TRACKING
        error = pose.T_odom_camera - se3.inverse(T_first) @ truth
        assert np.linalg.norm(error[:3, 3]) < 2e-3  # a step is 2 mm
    assert tracker._keyframe.number == 2


def test_a_start_anew_says_that_it_may_be_anywhere_near(clip):
    tracker = MotionTracker()
    (first, depth, _), (second, other, _), _ = clip
    tracker.track(first, depth)
    for i in range(1, 12):
        blank = replace(first, image=np.zeros_like(first.image), stamp=first.stamp + i * 10**8)
        tracker.track(blank, depth)
    again = replace(second, stamp=first.stamp + 13 * 10**8)
    pose = tracker.track(again, other).pose
    assert pose.state == TrackingState.TRACKING
    assert np.sqrt(pose.covariance[0, 0]) > 0.01
