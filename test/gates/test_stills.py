"""Pictures and masks with new stamps that show nothing new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.gates.eye_lag import EyeLag
from endosfm3d_ros.gates.stills import InputGate
from endosfm3d_ros.types import Frame

SECOND = 10**9
DICE = np.random.default_rng(0)


def noisy(size: tuple[int, int] = (256, 320)) -> np.ndarray:
    return DICE.integers(90, 100, (*size, 3)).astype(np.uint8)


def frames(count: int, rate: float = 10.0) -> list[Frame]:
    return [Frame(round(i / rate * SECOND), noisy(), right_image=noisy()) for i in range(count)]


def test_a_living_picture_is_not_still():
    gate = InputGate()
    assert [gate.still(frame)[0] for frame in frames(20)] == [0.0] * 20


@pytest.mark.parametrize(("part", "eye"), [("image", "left"), ("right_image", "right")])
def test_one_eye_that_repeats_its_picture_is_as_old_as_that(part, eye):
    gate, sent = InputGate(), frames(12)
    found = [gate.still(replace(f, **{part: getattr(sent[0], part)})) for f in sent]
    assert found[-1] == (pytest.approx(1.1), eye)
    assert gate.still(frames(13)[-1])[0] == 0.0  # as soon as it lives


def test_a_clock_painted_over_a_frozen_picture_does_not_make_it_live():
    gate, sent = InputGate(), frames(12)
    found = 0.0
    for frame in sent:
        image = sent[0].image.copy()
        image[:20, :60] = noisy((20, 60))
        found = gate.still(replace(frame, image=image))[0]
    assert found == pytest.approx(1.1)


def test_a_slow_sensor_behind_a_fast_driver_is_no_frozen_one():
    gate = InputGate()
    sent = frames(60, rate=60.0)
    sent = [replace(f, image=sent[i // 4 * 4].image, right_image=None) for i, f in enumerate(sent)]
    assert max(gate.still(frame)[0] for frame in sent) < 0.1


def test_stills_are_taken_where_the_user_tries_out():
    gate, sent = InputGate(stills=True), frames(12)
    assert {gate.still(replace(frame, image=sent[0].image))[0] for frame in sent} == {0.0}


def tool(at: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask of a bright instrument."""
    image, mask = noisy(), np.zeros((256, 320), np.uint8)
    mask[60:200, at : at + 60] = 1
    image[mask > 0] = 200
    return image, mask


@pytest.mark.parametrize(("step", "stale"), [(0, False), (8, True)])
def test_a_mask_is_stale_only_where_the_tool_below_it_has_moved(step, stale):
    gate, found = InputGate(), 0.0
    _, mask = tool(40)
    for i in range(12):
        image, _ = tool(40 + i * step)
        found = gate.stale_mask(Frame(i * SECOND // 10, image, tool_labels=mask))
    assert (found > 0.5) == stale


def test_no_instrument_for_a_long_time_is_no_stale_mask():
    gate, nothing = InputGate(), np.zeros((256, 320), np.uint8)
    for i, frame in enumerate(frames(12)):
        moved = np.roll(frame.image, 20 * i, axis=1)
        assert gate.stale_mask(replace(frame, image=moved, tool_labels=nothing)) == 0.0


def bars(moment: float, shift: int) -> np.ndarray:
    """Tissue that moves up and down, as eyes apart by a shift see it."""
    rows = np.arange(64) + 6 * np.sin(2 * np.pi * moment / 3.1) + 3 * np.sin(moment * 5.3)
    grey = 120 + 60 * np.sin(rows[:, None] / 5 + (np.arange(80) + shift)[None] / 30)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("lag", [0.0, 0.3, 0.8, -0.5])
def test_an_eye_that_runs_behind_is_found_with_its_lag(lag):
    eyes = EyeLag()
    for i in range(80):
        t = i / 15
        found = eyes.add(round(t * SECOND), bars(t, 0), bars(t - lag, 4))
    assert found == pytest.approx(lag, abs=0.07)
    for i in range(80, 160):  # and that it does no longer
        t = i / 15
        found = eyes.add(round(t * SECOND), bars(t, 0), bars(t, 4))
    assert found == 0.0


def test_eyes_of_a_scene_that_does_not_move_tell_nothing():
    eyes = EyeLag()
    for i in range(80):
        assert eyes.add(i * SECOND // 15, noisy(), noisy()) == 0.0
