"""One word for a run, and a sentence for everything that counts against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.run_folder.frame_record import FrameRecord
from endosfm3d_ros.run_folder.grade import Grade
from endosfm3d_ros.types import ScaleSource, TrackingState

FLAWLESS = FrameRecord(
    number=0, stamp=0, T_map_camera=np.eye(4), T_scene_camera=np.eye(4),
    state=TrackingState.TRACKING, inliers=200,
    camera=PinholeCamera(640, 512, 550.0, 550.0, 320.0, 256.0), focal_sigma=0.01,
    intrinsics_state="converged", depth_median=0.06, depth_coverage=0.95, confidence=0.6,
    depth_source="stereo", scale=ScaleSource.STEREO, milliseconds={}, gaussians=1000,
    inferred=0.05, clearances=(),
)  # fmt: skip


def graded(*changes: dict, frames: int = 10, dropped: int = 0) -> Grade:
    records = [replace(FLAWLESS, number=i) for i in range(frames)]
    for i, change in enumerate(changes):
        records[i] = replace(records[i], **change)
    return Grade.of(records, frames, dropped)


def everywhere(**change: object) -> Grade:
    return graded(*[change] * 10)


def test_a_run_without_a_flaw_is_good():
    assert graded() == Grade("good", ())


@pytest.mark.parametrize(
    "grade,word,reason",
    [
        (everywhere(scale=ScaleSource.RELATIVE), "usable", "the scale is relative"),
        (everywhere(depth_source="shading"), "poor", "shading alone"),
        (everywhere(depth_coverage=0.4), "poor", "60% of the pixels have no depth"),
        (everywhere(confidence=0.2), "usable", "mean confidence of depth is 0.20"),
        (everywhere(inferred=0.5), "usable", "50% of the map was never measured"),
        (graded({"state": TrackingState.LOST}), "usable", "lost in 1 of 10 frames"),
        (everywhere(state=TrackingState.LOST), "unusable", "lost in 10 of 10 frames"),
        (graded(dropped=70, frames=100), "poor", "70% of the frames were dropped"),
        (
            everywhere(focal_sigma=0.2, depth_source="endosfm3d"),
            "usable",
            "the focal length is known to 20% only",
        ),
    ],
)
def test_what_counts_against_a_run_is_said(grade, word, reason):
    assert grade.word == word
    assert any(reason in sentence for sentence in grade.reasons), grade.reasons


def test_the_worst_reason_comes_first_and_decides():
    grade = everywhere(scale=ScaleSource.RELATIVE, depth_source="shading")
    assert grade.word == "poor"
    assert "shading" in grade.reasons[0] and "relative" in grade.reasons[1]


def test_a_guessed_focal_length_does_not_matter_to_a_calibrated_pair():
    assert everywhere(focal_sigma=0.25).word == "good"


def test_a_run_without_a_frame_is_unusable():
    assert Grade.of([], 10) == Grade("unusable", ("no frame was processed",))
