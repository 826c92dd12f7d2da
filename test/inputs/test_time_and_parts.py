"""Stamps of two eyes, parts that come late or go, and both eyes in one picture."""

from __future__ import annotations

import numpy as np
import pytest
from plane_scene import Plane, Rig, eyes

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.eye_sync import EyeSync, measure, paired
from endosfm3d_ros.inputs.packing import looks_packed, split
from endosfm3d_ros.inputs.parts import PartsPolicy, Rank, Seen
from endosfm3d_ros.inputs.report import InputReport, Severity
from endosfm3d_ros.types import Frame, StereoGeometry

MS = 1_000_000
SLOP = 16 * MS
RNG = np.random.default_rng(0)


def series(period: float, offset: float = 0, jitter: float = 0, count: int = 30) -> list[int]:
    """Stamps in nanoseconds of milliseconds."""
    noise = RNG.uniform(-jitter, jitter, count)
    return [int((1000 + i * period + offset + noise[i]) * MS) for i in range(count)]


@pytest.mark.parametrize(
    ("period", "offset"), [(100, 20), (100, -24), (33.3, 8), (16.7, -4), (33.3, 0), (33.3, 0.9)]
)
def test_a_constant_offset_is_taken_out(period, offset):
    found, measured = paired(series(period), series(period, offset), SLOP)
    assert found == list(range(30)) and measured.certain
    assert measured.value == pytest.approx(offset * MS if abs(offset) > 2 else 0, abs=1000)
    assert bool(measured.words) == (abs(offset) > 2)


@pytest.mark.parametrize(("period", "offset"), [(33.3, 20), (33.3, -13.3), (33.3, 16), (16.7, 8)])
def test_where_two_neighbours_are_possible_there_is_no_pair(period, offset):
    found, measured = paired(series(period), series(period, offset), SLOP)
    assert set(found) == {None} and not measured.certain
    assert "ms from the left images, of which nobody can say the right one" in measured.words


def test_receipt_stamps_that_jitter_pair_or_say_so():
    found, measured = paired(series(33.3, 0, 2), series(33.3, 0, 2), SLOP)
    assert all(at in (None, i) for i, at in enumerate(found)) and measured.certain
    found, measured = paired(series(33.3, 0, 16), series(33.3, 0, 16), SLOP)
    assert set(found) == {None} and "scatter" in measured.words


@pytest.mark.parametrize("offset", [0.0, 6.0, 20.0])
@pytest.mark.parametrize("lost", ["left", "right", "both"])
def test_a_lost_image_never_shifts_the_pairs(offset, lost):
    lefts, rights = series(33.3), series(33.3, offset)
    numbers = [list(range(30)), list(range(30))]
    for side, stamps in enumerate((lefts, rights)):
        if lost in (("left", "right")[side], "both"):
            for at in (20 - side, 7 + side):
                del stamps[at], numbers[side][at]
    found, _ = paired(lefts, rights, SLOP)
    for i, at in enumerate(found):
        assert at is None or numbers[0][i] == numbers[1][at]
    assert offset == 20.0 or sum(at is not None for at in found) >= 26


def test_variable_rates_pair_by_their_stamps():
    lefts = np.cumsum(RNG.choice([20, 33, 50, 100], 40)) * MS
    found, _ = paired(lefts.tolist(), (lefts + 500_000).tolist(), SLOP)
    assert found == list(range(40))


def test_a_right_eye_at_a_third_of_the_rate():
    lefts = series(33.3)
    offset = measure(lefts, [stamp + 5 * MS for stamp in lefts[::3]], SLOP)
    assert offset.certain and offset.value == pytest.approx(5 * MS, abs=1000)


def streamed(sync: EyeSync, offset: float, late: float = 0.0, period: float = 33.3) -> list:
    """(left, right) numbers that are paired while they come; right ones arrive `late` ms later."""
    events = [(i * period, 0, i) for i in range(40)]
    events += [(i * period + late, 1, i) for i in range(40)]
    names: list[dict[int, int]] = [{}, {}]
    pairs = []
    for _, side, i in sorted(events):
        stamp = int((1000 + i * period + side * offset) * MS)
        names[side][stamp] = i
        (sync.other if side else sync.left)(stamp)
        match = sync.match(stamp, list(names[1 - side]), to_left=bool(side))
        if match is not None:
            pair = (i, names[0][match]) if side else (i, names[1][match])
            pairs.append(pair[::-1] if side else pair)
    return pairs


@pytest.mark.parametrize("late", [0.0, 5.0, 40.0])
@pytest.mark.parametrize("offset", [0.0, 1.0, 7.0, -7.0])
def test_a_stream_of_pairs_learns_its_offset(offset, late):
    pairs = streamed(EyeSync(SLOP), offset, late)
    assert len(pairs) >= 30 and all(a == b for a, b in pairs)


def test_clocks_of_two_computers_give_no_pair_and_a_reason():
    sync = EyeSync(SLOP)
    assert streamed(sync, 5000.0) == []
    assert "+5.0" in sync.offset.words and "two clocks" in sync.offset.words
    assert "PTP" in sync.offset.cure


def test_a_pause_is_not_taken_for_another_clock():
    sync = EyeSync(SLOP)
    stamps = series(33.3, count=200)
    for i, stamp in enumerate(stamps):
        sync.left(stamp)
        if not 40 <= i < 150:
            sync.other(stamp)
    assert sync.offset.certain and sync.match(stamps[-1], stamps[-5:], to_left=True) == stamps[-1]


# --- parts -----------------------------------------------------------------------------------

IMAGE = np.zeros((4, 4, 3), np.uint8)
CAMERA = PinholeCamera.default(4, 4)
PAIR = StereoGeometry(CAMERA, CAMERA, np.eye(3), np.eye(3, 4), np.eye(3), np.eye(3, 4))
ONE, TWO = Frame(0, IMAGE), Frame(0, IMAGE, right_image=IMAGE, stereo=PAIR)
GIVEN = Frame(0, IMAGE, depth=np.ones((4, 4), np.float32))
READY = Seen(announced={"right"}, calibrated=True)


@pytest.fixture
def report():
    return InputReport()


@pytest.fixture
def policy(report):
    return PartsPolicy("auto", report)


def test_an_announced_eye_is_waited_for_and_not_for_ever(policy, report):
    policy.image(0.0)
    assert policy.required(READY, 1.0) == {"right"}
    assert policy.required(READY, 3.0) == set()
    policy.handed_on(ONE)
    policy.watch(READY, 3.0)
    assert "no message comes" in report.entries[0].sentence


def test_a_pair_that_comes_late_is_worth_a_new_scene(policy, report):
    policy.image(0.0)
    policy.handed_on(ONE)
    policy.heard("right", 9.8)
    assert policy.required(READY, 10.0) == {"right"}
    assert policy.rises(TWO) and not policy.rises(ONE)
    policy.new_scene(10.0)
    policy.handed_on(TWO)
    assert policy.rank == Rank.PAIR and not policy.rises(GIVEN)  # metres are metres
    policy.watch(READY, 10.0)
    assert report.entries == []


def test_a_scene_keeps_the_source_of_its_metres_and_misses_it_aloud(policy, report):
    policy.image(0.0)
    policy.heard("right", 0.0)
    policy.handed_on(TWO)
    gone = Seen(announced=set(), calibrated=True)
    assert policy.required(gone, 60.0) == {"right"}
    policy.watch(gone, 60.0)
    assert report.entries[0].severity == Severity.ERROR and "60 s" in report.entries[0].sentence
    policy.new_scene(60.0)
    assert policy.required(gone, 61.0) == set()
    policy.handed_on(ONE)
    policy.watch(gone, 61.0)
    assert "after it was from both eyes" in report.entries[0].sentence
    policy.new_scene(70.0)
    policy.heard("right", 70.0)
    policy.handed_on(TWO)
    policy.watch(READY, 70.0)
    assert report.entries == []


@pytest.mark.parametrize("source", ["stereo", "topic", "shading"])
def test_a_source_that_was_asked_for_is_not_left_for_a_better_one(source, report):
    policy = PartsPolicy(source, report)
    policy.image(0.0)
    policy.handed_on(ONE)
    assert not policy.rises(TWO) and not policy.rises(GIVEN)


def test_stamps_that_cannot_be_paired_leave_one_eye(policy):
    policy.image(0.0)
    policy.heard("right", 0.5)
    assert policy.required(Seen({"right"}, calibrated=True, pairable=False), 0.6) == set()


# --- both eyes in one picture ----------------------------------------------------------------

LENS = PinholeCamera(320, 256, 280.0, 280.0, 159.5, 127.5)


@pytest.mark.parametrize(("layout", "axis"), [("side_by_side", 1), ("top_bottom", 0)])
def test_two_eyes_in_one_picture_are_noticed_and_taken_apart(layout, axis):
    left, right = eyes(Rig(LENS, LENS), Plane(0.05), rectified=True)
    packed = np.concatenate([left, right], axis=axis)
    assert looks_packed(packed) == layout
    for eye, expected in zip(split(packed, layout), (left, right)):
        np.testing.assert_array_equal(eye, expected)


def test_a_picture_of_one_eye_is_not_taken_for_two():
    left, _ = eyes(Rig(LENS, LENS), Plane(0.05), rectified=True)
    assert looks_packed(left) is None and looks_packed(np.zeros_like(left)) is None
    assert split(left, "single")[1] is None
    with pytest.raises(InputError, match="halves need an even size"):
        split(left[:, :-1], "side_by_side")
