"""Inputs that look well and are not of now: nothing may be said that is false. The real node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_scene import INVALID, LiveScene, Shot, shots
from node_fixtures import STEADY
from node_harness import Probe

from endosfm3d_ros.nodes.messages.conversions import nanoseconds
from endosfm3d_ros.nodes.offline.process import PipelineProcess

ERROR = 2
PATIENCE = 120.0  # s for a busy machine


@pytest.fixture(scope="module")
def clip() -> list[Shot]:
    return shots()


@pytest.fixture(scope="module")
def theatre(clip, tmp_path_factory) -> Iterator[LiveScene]:
    """A node that works; every test makes it well again before it begins."""
    log: Path = tmp_path_factory.mktemp("node") / "log"
    stages = {"tissue_map": True, "tools": "topic", "quality": "fast"}
    process = PipelineProcess(log, STEADY | stages)
    probe = Probe()
    try:
        yield LiveScene(probe, clip)
    finally:
        probe.close()
        process.stop()


@pytest.fixture
def well(theatre) -> LiveScene:
    assert theatre.play(PATIENCE, until=theatre.is_well), theatre.status
    return theatre


@pytest.mark.parametrize("seconds", [5.0, 60.0])
def test_late_images_are_said_to_be_late_and_give_no_clearance(well, seconds):
    """Row: images that arrive 5 s or 60 s late were said to be 0.19 s old."""
    assert well.play(PATIENCE, late=seconds, until=lambda: well.says("s after their stamps", ERROR))
    begin = well.mark()

    def said() -> bool:  # stamps that jump back begin a new scene, which has no delay at first
        delay = well.status.input_delay_s == pytest.approx(seconds, abs=1.0)
        return well.mark() > begin + 20 and delay and "old" in well.grade("depth")[1]

    assert well.play(PATIENCE, late=seconds, until=said)
    late = well.clearances[begin:]
    assert not any(message.valid for message in late)
    assert max(message.age for message in late) > seconds - 0.1
    assert well.grade("clearance")[0] == well.grade("pose")[0] == INVALID


class Frozen:
    """Repeats one part of the shots for as long as it is used."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts
        self._first: Shot | None = None

    def __call__(self, shot: Shot) -> Shot:
        self._first = self._first or shot
        kept = {part: getattr(self._first.frame, part) for part in self._parts if part != "mask"}
        mask = self._first.mask if "mask" in self._parts else shot.mask
        return Shot(replace(shot.frame, **kept), mask)


@pytest.mark.parametrize(
    "parts", [("image", "right_image", "mask"), ("image",), ("right_image",)], ids="+".join
)
def test_a_frozen_picture_gives_nothing_and_is_said(well, parts):
    """Row: the same picture with new stamps gave 196 valid clearances in 20 s."""
    eye = "left" if "image" in parts else "right"
    fault = Frozen(*parts)
    assert well.play(PATIENCE, fault, until=lambda: well.says(f"the {eye} picture has", ERROR))
    well.play(1.0, fault)
    begin, depth = well.mark(), well.newest_depth()
    well.play(1.5, fault)
    assert not well.valid(begin)
    assert well.newest_depth() == depth  # nor depth, pose or anything else
    assert well.grade("depth")[0] == INVALID
    assert well.play(PATIENCE, until=well.is_well)  # by itself
    assert "has not changed" not in well.status.message


@pytest.mark.slow
def test_an_eye_that_runs_behind_gives_nothing_and_is_said(well):
    """Row: one eye .8 s behind, depth goes on wrong, level 0."""
    rights: list[np.ndarray] = []

    def behind(shot: Shot) -> Shot:
        rights.append(shot.frame.right_image)
        return Shot(replace(shot.frame, right_image=rights[max(0, len(rights) - 6)]), shot.mask)

    assert well.play(PATIENCE, behind, until=lambda: well.says("behind the other", ERROR))
    begin = well.mark()
    well.play(1.5, behind)
    assert not well.valid(begin)
    assert well.play(PATIENCE, until=well.is_well)


def test_masks_that_do_not_follow_the_picture_give_no_clearance(well):
    """Row: a frozen tool_mask while tools move."""
    fault = Frozen("mask")
    assert well.play(PATIENCE, fault, until=lambda: well.says("tool masks have not", ERROR))
    well.play(0.5, fault)  # what was under way
    begin = well.mark()
    assert well.play(PATIENCE, fault, until=lambda: well.grade("tools")[0] == INVALID)
    well.play(0.5, fault)
    assert not well.valid(begin)
    assert well.play(PATIENCE, until=well.is_well)


def test_a_baseline_that_changes_in_mid_stream_gives_no_clearance(well):
    """Row: baseline x1.5 in camera_info."""

    def wider(shot: Shot) -> Shot:
        P = shot.frame.stereo.P_right.copy()
        P[0, 3] *= 1.5
        return Shot(replace(shot.frame, stereo=replace(shot.frame.stereo, P_right=P)), shot.mask)

    assert well.play(PATIENCE, wider, until=lambda: well.says("calibration", ERROR))
    begin, since = well.mark(), well.newest_sent
    well.play(1.5, wider)
    assert not [m for m in well.valid(begin) if nanoseconds(m.header.stamp) > since]
    assert well.play(PATIENCE, until=well.is_well)


def test_eyes_exchanged_in_mid_stream_give_no_clearance(well):
    """Row: coverage .93 to .35, median 64 to 92 mm, level 0."""

    def exchanged(shot: Shot) -> Shot:
        left, right = shot.frame.image, shot.frame.right_image
        return Shot(replace(shot.frame, image=right, right_image=left), shot.mask)

    assert well.play(PATIENCE, exchanged, until=lambda: well.says("exchanged", ERROR))
    begin = well.mark()
    well.play(1.5, exchanged)
    assert not well.valid(begin)
    assert well.play(PATIENCE, until=well.is_well)


def test_what_is_valid_says_for_how_long_and_what_is_not_does_not(well):
    fresh = [message for message in well.clearances if message.valid]
    assert all(0 < m.lifetime <= 0.5 and m.age + m.lifetime == pytest.approx(0.5) for m in fresh)
    assert all(m.lifetime == 0 for m in well.clearances if not m.valid)
    assert well.status.output_lifetime == 0.5
    assert 1.0 < well.status.lifetime < 5.0
    assert {grade.name for grade in well.status.grades} == {
        "depth", "pose", "map", "tools", "clearance"
    }  # fmt: skip
    assert np.isfinite(well.status.input_delay_s)
