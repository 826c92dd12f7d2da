"""The pose of the robot belongs to a frame by stamp, not by the order of arrival."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.nodes.inputs.assembler import FrameAssembler
from endosfm3d_ros.nodes.inputs.stamped_poses import StampedPoses

MS = 1_000_000
IMAGE = np.zeros((4, 4, 3), np.uint8)


def pose(ms: float) -> np.ndarray:
    """On a path at 1 m/s, turning by 1 rad/s."""
    return se3.from_vectors([0, 0, 1e-3 * ms], [1e-3 * ms, 0, 0])


def stream(*milliseconds: float) -> StampedPoses:
    poses = StampedPoses()
    for ms in milliseconds:
        poses.add(int(ms * MS), pose(ms))
    return poses


def test_between_two_poses_the_robot_is_on_the_way():
    assert np.allclose(stream(0, 50, 100).at(63 * MS), pose(63))
    assert np.allclose(stream(100, 0, 50).at(50 * MS), pose(50))  # it came late


@pytest.mark.parametrize("order", [(0, 10, 20), (20, 10, 0)])
def test_an_old_pose_that_comes_last_is_not_the_newest(order):
    assert np.allclose(stream(*order).at(19 * MS), pose(19))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [(120, 100), (139, 100), (141, None), (-30, 0), (-60, None), (500, None)],
)
def test_beyond_the_poses_the_nearest_counts_within_a_limit_and_none_beyond_it(asked, answer):
    found = stream(0, 50, 100).at(asked * MS)
    assert found is None if answer is None else np.array_equal(found, pose(answer))


def test_a_gap_is_not_bridged():
    poses = stream(0, 500)
    assert poses.at(250 * MS) is None
    assert np.array_equal(poses.at(20 * MS), pose(0))


def test_without_poses_there_is_none_and_no_number_is_no_pose():
    poses = StampedPoses()
    poses.add(0, np.full((4, 4), np.nan))
    assert poses.at(0) is None


def test_time_that_jumps_back_forgets_what_was_and_memory_is_bounded():
    poses = stream(*range(0, 1000, 10))
    poses.add(0, pose(7))
    assert poses.at(500 * MS) is None
    assert np.array_equal(poses.at(0), pose(7))
    small = StampedPoses(capacity=3)
    for ms in range(0, 100, 10):
        small.add(ms * MS, pose(ms))
    assert small.at(20 * MS) is None and np.allclose(small.at(75 * MS), pose(75))


def test_a_frame_that_waited_has_the_pose_of_its_own_time():
    """It waits for its labels while the robot goes on."""
    frames = []
    assembler = FrameAssembler(frames.append, lambda step: None)
    assembler.optional = {"labels": 0}
    assembler.poses.add(100 * MS, pose(100))
    assembler.add_image(100 * MS, "camera", IMAGE)
    for ms in (110, 120, 130):
        assembler.poses.add(ms * MS, pose(ms))
    assembler.add_companion("labels", 100 * MS, IMAGE[..., 0])
    assert np.array_equal(frames[0].pose, pose(100))


def test_a_robot_that_fell_silent_gives_no_pose():
    frames = []
    assembler = FrameAssembler(frames.append, lambda step: None)
    assembler.poses.add(0, pose(0))
    for ms in (0, 30, 200):
        assembler.add_image(ms * MS, "camera", IMAGE)
    assert [frame.pose is None for frame in frames] == [False, False, True]
