"""Matching parts by stamp, without ROS."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.nodes.inputs.assembler import SECOND, AssemblerConfig, FrameAssembler

IMAGE = np.zeros((4, 4, 3), np.uint8)
STEP = SECOND // 30


@pytest.fixture
def out():
    return []


@pytest.fixture
def jumps():
    return []


@pytest.fixture
def assembler(out, jumps):
    return FrameAssembler(out.append, jumps.append)


def stamps(out) -> list[int]:
    return [frame.stamp for frame in out]


def test_one_eye_needs_nothing_else(assembler, out):
    for i in range(3):
        assembler.add_image(i * STEP, "camera", IMAGE)
    assert stamps(out) == [0, STEP, 2 * STEP]


@pytest.mark.parametrize("left_first", [True, False])
def test_eyes_are_paired_whichever_comes_first(assembler, out, left_first):
    assembler.required = {"right"}
    right = IMAGE + 1
    steps = [
        lambda: assembler.add_image(5 * STEP, "camera", IMAGE),
        lambda: assembler.add_companion("right", 5 * STEP + 1_000_000, right),
    ]
    for step in steps if left_first else steps[::-1]:
        step()
    assert stamps(out) == [5 * STEP]
    assert out[0].right_image is right


def test_an_eye_too_far_away_in_time_is_no_pair(assembler, out):
    assembler.required = {"right"}
    assembler.add_image(0, "camera", IMAGE)
    assembler.add_companion("right", STEP, IMAGE)
    assert out == []


def test_a_lost_right_image_costs_one_pair_only(assembler, out):
    assembler.required = {"right"}
    for i in range(6):
        assembler.add_image(i * STEP, "camera", IMAGE)
        if i != 2:
            assembler.add_companion("right", i * STEP, IMAGE)
    assert stamps(out) == [i * STEP for i in (0, 1, 3, 4, 5)]
    assert assembler.rejected["incomplete frame"] == 1


def test_a_looping_stream_is_not_starved(assembler, out, jumps):
    """30 pairs, then the same again with an unpaired left image in the buffer."""
    assembler.required = {"right"}
    for _ in range(2):
        for i in range(30):
            assembler.add_image(i * STEP, "camera", IMAGE)
            assembler.add_companion("right", i * STEP, IMAGE)
        assembler.add_image(30 * STEP, "camera", IMAGE)
    assert len(out) >= 59
    assert jumps == [-30 * STEP]


def test_the_right_eye_may_loop_first(assembler, out, jumps):
    assembler.required = {"right"}
    for i in range(30):
        assembler.add_image(i * STEP, "camera", IMAGE)
        assembler.add_companion("right", i * STEP, IMAGE)
    assembler.add_companion("right", 0, IMAGE)
    assembler.add_image(0, "camera", IMAGE)
    assert stamps(out)[-1] == 0
    assert len(jumps) == 1


def test_repeated_and_late_stamps_are_rejected(assembler, out):
    for stamp in (10 * STEP, 10 * STEP, 9 * STEP, 11 * STEP):
        assembler.add_image(stamp, "camera", IMAGE)
    assert stamps(out) == [10 * STEP, 11 * STEP]
    assert assembler.rejected == {"repeated stamp": 1, "late stamp": 1}


def test_late_stamps_in_a_row_are_a_restart(assembler, out, jumps):
    assembler.add_image(10 * STEP, "camera", IMAGE)
    for i in range(5, 9):
        assembler.add_image(i * STEP, "camera", IMAGE)
    assert len(jumps) == 1
    assert stamps(out)[-1] == 8 * STEP


def test_skipping_waits_until_time_is_newer(out, jumps):
    assembler = FrameAssembler(out.append, jumps.append, AssemblerConfig(on_jump="skip"))
    for stamp in (100 * STEP, 5 * STEP, 6 * STEP, 101 * STEP):
        assembler.add_image(stamp, "camera", IMAGE)
    assert stamps(out) == [100 * STEP, 101 * STEP]
    assert jumps == []


def test_labels_are_waited_for_but_not_for_ever(assembler, out):
    assembler.optional = {"labels": 0}
    labels = np.ones((4, 4), np.uint8)
    assembler.add_image(0, "camera", IMAGE)
    assert out == []
    assembler.add_companion("labels", 0, labels)
    assert out[0].tool_labels is labels
    assembler.add_image(STEP, "camera", IMAGE)
    assembler.add_image(2 * STEP, "camera", IMAGE)
    assert stamps(out) == [0, STEP]
    assert out[1].tool_labels is None


def test_an_occasional_part_is_waited_for_only_when_it_is_due(assembler, out):
    """The right eye comes after the left one, and for every fourth frame only."""
    assembler.optional = {"right": 3 * STEP}
    for i in range(9):
        assembler.add_image(i * STEP, "camera", IMAGE)
        emitted_at_once = stamps(out)[-1:] == [i * STEP]
        assert emitted_at_once == (i % 4 in (1, 2)), i
        if i % 4 == 0:
            assembler.add_companion("right", i * STEP, IMAGE)
    assert stamps(out) == [i * STEP for i in range(9)]
    assert [frame.right_image is not None for frame in out] == [i % 4 == 0 for i in range(9)]


def test_first_images_wait_for_their_calibration(assembler, out):
    assembler.waits_for_calibration = True
    for i in range(3):
        assembler.add_image(i * STEP, "camera", IMAGE)
    assert out == []
    camera = PinholeCamera.default(4, 4)
    assembler.set_calibration(camera)
    assert stamps(out) == [0, STEP, 2 * STEP]
    assert all(frame.camera is camera for frame in out)


def test_memory_is_bounded(assembler):
    assembler.required = {"right"}
    for i in range(1000):
        assembler.add_image(i * STEP, "camera", IMAGE)
        assembler.add_companion("depth", i * STEP + SECOND, IMAGE[..., 0])
    assert len(assembler._pending) <= 5
    assert all(len(waiting) <= 5 for waiting in assembler._companions.values())
    assert assembler.rejected["incomplete frame"] >= 990


def test_another_frame_id_is_another_camera(assembler, out):
    assembler.add_image(0, "left", IMAGE)
    assembler.add_image(STEP, "right", IMAGE)
    assert stamps(out) == [0]
    assembler.clear()
    assembler.add_image(2 * STEP, "right", IMAGE)
    assert stamps(out) == [0, 2 * STEP]


def test_another_camera_that_is_alone_takes_the_place_of_the_first(out):
    """Row: a first image of a wrong frame_id gave no output for good."""
    said: list[str] = []
    assembler = FrameAssembler(out.append, lambda step: None, on_other=said.append)
    assembler.add_image(0, "wrong", IMAGE)
    for i in range(1, 30):
        assembler.add_image(i * STEP, "camera", IMAGE)
    assert said == ["frame_id changed from 'wrong' to 'camera'"]
    assert stamps(out) == [0, *(i * STEP for i in range(10, 30))]
    for i in range(30, 60):  # two that alternate are never mixed
        assembler.add_image(i * STEP, ("camera", "other")[i % 2], IMAGE)
    assert {frame.frame_id for frame in out[1:]} == {"camera"} and len(said) == 1


def test_thousands_of_names_take_no_memory(assembler, out):
    """Row: 6,000 images of other frame_ids made one diagnostics message of 1.1 MB."""
    assembler.add_image(0, "camera", IMAGE)
    for i in range(1, 6000):
        assembler.add_image(i * STEP, f"{i}" * 1000 if i % 5 else "camera", IMAGE)
    assert len(assembler.rejected) < 12
    assert sum(len(reason) for reason in assembler.rejected) < 2500
    assert sum(assembler.rejected.values()) + len(out) == 6000


def test_a_calibration_that_a_frame_brings_about_leaves_the_order(assembler, out):
    """Two frames wait; whoever takes the first one sets a new calibration."""
    camera = PinholeCamera.default(4, 4)
    assembler._emit = lambda frame: (assembler.set_calibration(camera), out.append(frame))
    assembler.required = {"right"}
    assembler.add_image(0, "camera", IMAGE)
    assembler.add_image(STEP, "camera", IMAGE)
    assembler.required = set()
    assembler.set_calibration(None)
    assert stamps(out) == [0, STEP] and out[1].camera is camera


@pytest.mark.parametrize("offset", [7_000_000, -7_000_000])
def test_an_offset_between_the_eyes_is_learnt(assembler, out, offset):
    assembler.required = {"right"}
    for i in range(30):
        assembler.add_image(i * STEP, "camera", IMAGE)
        assembler.add_companion("right", i * STEP + offset, IMAGE + i)
    assert len(out) >= 20
    assert all((frame.right_image == round(frame.stamp / STEP)).all() for frame in out)
