"""Results held against those before them, and what each part is worth."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from endosfm3d_ros.gates.grades import PARTS, Worth, grades_of
from endosfm3d_ros.gates.limits import LIMITS, table
from endosfm3d_ros.gates.scenes import SceneGate
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.types import ToolPlacement
from endosfm3d_ros.types import (
    CameraPose,
    DepthMap,
    Frame,
    IntrinsicsEstimate,
    ScaleSource,
    SceneUpdate,
    TrackingState,
)

SECOND = 10**9


def update(
    metres: float = 0.06, at: float = 0.0, coverage: float = 0.9, scale=ScaleSource.STEREO, **parts
) -> SceneUpdate:
    depth = np.full((40, 40), np.nan, np.float32)
    depth.flat[: int(1600 * coverage)] = metres
    camera, image = PinholeCamera.default(40, 40), np.zeros((40, 40, 3), np.uint8)
    whole = SceneUpdate(
        Frame(round(at * SECOND), image),
        image,
        DepthMap(depth, np.nan_to_num(depth), camera, "stereo", scale, 0),
        IntrinsicsEstimate(camera, np.zeros((4, 4)), "fixed", 0, "fixed"),
        CameraPose(np.eye(4), np.eye(4), np.zeros((6, 6)), TrackingState.TRACKING, 100),
        lens=camera,
        tissue=SimpleNamespace(state=TrackingState.TRACKING),
        tools=view(),
    )
    return replace(whole, **parts)


def view(usable: bool = True, placement: ToolPlacement | None = None, known: bool = True):
    placed = placement or ToolPlacement(np.eye(3), np.zeros(3), 1.0, 0.9, np.eye(6), 0.0, True, "")
    tool = SimpleNamespace(track=SimpleNamespace(id=3), placement=placed)
    tracks = SimpleNamespace(usable=usable, reason="too large")
    return SimpleNamespace(tracks=tracks, tools=(tool,) if known else (), notes=())


def worths(changed: SceneUpdate, **doubts) -> dict[str, Worth]:
    return {grade.part: grade.worth for grade in grades_of(changed, **doubts)}


def test_a_scene_without_faults_is_good():
    assert worths(update()) == dict.fromkeys(PARTS, Worth.GOOD)


LOST = replace(update().pose, state=TrackingState.LOST)
NOWHERE = ToolPlacement.nowhere("mask of 9 pixels")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scale": ScaleSource.RELATIVE}, (1, 1, 1, 0, 2)),
        ({"pose": LOST}, (0, 2, 0, 0, 2)),
        ({"tissue": None}, (0, 0, 2, 0, 2)),
        ({"tools": None}, (0, 0, 0, 2, 2)),
        ({"tools": view(usable=False)}, (0, 0, 0, 2, 2)),
        ({"tools": view(placement=NOWHERE)}, (0, 0, 0, 1, 1)),
        ({"tools": view(known=False)}, (0, 0, 0, 0, 2)),
        ({"coverage": 0.0}, (2, 0, 0, 0, 0)),
    ],
)
def test_each_part_has_a_grade_of_its_own(changes, expected):
    assert tuple(worths(update(**changes)).values()) == expected
    for grade in grades_of(update(**changes)):
        assert bool(grade.reason) == (grade.worth != Worth.GOOD)


def test_stale_masks_make_instruments_and_clearance_invalid():
    found = worths(update(), stale_mask="of another moment")
    assert (found["tools"], found["clearance"], found["depth"]) == (2, 2, 0)


@pytest.mark.parametrize("metres", [0.0005, 0.6, 66.9])
def test_metres_that_no_endoscope_sees_are_held_back(metres):
    judgement = SceneGate().judge(update(metres))
    assert "median" in judgement.held and judgement.no_clearance
    relative = update(metres, scale=ScaleSource.RELATIVE)
    assert not SceneGate().judge(relative).held


def test_depth_that_jumps_is_held_back_until_it_returns():
    """Row: the scale jumps from 66 to 100 mm."""
    gate = SceneGate()
    held = [bool(gate.judge(update(m, 0.1 * i)).held) for i, m in enumerate((0.066,) * 5)]
    held += [bool(gate.judge(update(0.1, 0.5 + 0.1 * i)).held) for i in range(8)]
    held += [bool(gate.judge(update(0.066, 1.3)).held)]
    assert held == [False] * 5 + [True] * 8 + [False]


def test_a_jump_that_lasts_is_another_place_after_two_seconds():
    gate = SceneGate()
    gate.judge(update(0.066, 0.0))
    held = [bool(gate.judge(update(0.1, 0.1 + 0.1 * i)).held) for i in range(30)]
    assert held.index(False) == pytest.approx(21, abs=1)
    assert not any(held[22:])


def test_a_camera_that_approaches_does_not_jump():
    gate = SceneGate()
    assert not any(gate.judge(update(0.1 * 0.93**i, 0.033 * i)).held for i in range(20))


def test_coverage_that_collapses_is_doubted_and_published():
    """Row: coverage falls from .93 to .35, the level stays 0."""
    gate = SceneGate()
    for i in range(20):
        assert not gate.judge(update(at=0.1 * i)).collapsed
    judgement = gate.judge(update(at=2.0, coverage=0.3))
    assert "30%" in judgement.collapsed and not judgement.held and judgement.no_clearance
    assert {g.part for g in judgement.grades if g.worth == Worth.INVALID} == {"depth", "clearance"}


def test_every_limit_has_a_unit_and_a_source():
    assert all(limit.unit and limit.of and len(limit.source) > 20 for limit in LIMITS)
    assert len({limit.of for limit in LIMITS}) == len(LIMITS)
    assert table().count("\n") == len(LIMITS) + 2
