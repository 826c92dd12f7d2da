"""Delays by stamps: what is late, what is another clock, what is a recording."""

from __future__ import annotations

import pytest

from endosfm3d_ros.gates.delay import Delay

NOW = 1_800_000_000 * 10**9


def lateness(delay: Delay, delays: list[float], pace: float = 1.0, rate: float = 30.0) -> float:
    """Of the last of images that arrive these seconds after their stamps, at this pace of play."""
    for i, seconds in enumerate(delays):
        stamp = NOW + round(i / rate * 1e9)
        delay.arrived(stamp, NOW + round(i / rate / pace * 1e9) + round(seconds * 1e9))
    return delay.late


@pytest.mark.parametrize("seconds", [0.6, 5.0, 60.0])
def test_images_that_are_late_from_the_first_on_are_late(seconds):
    delay = Delay()
    assert lateness(delay, [seconds] * 90) == pytest.approx(seconds, abs=1e-3)
    assert delay.words == ""


def test_images_that_become_late_stay_late_for_as_long_as_they_are():
    assert lateness(Delay(), [0.05] * 30 + [5.0] * 3000) == pytest.approx(5.0, abs=0.1)
    assert lateness(Delay(), [0.05] * 30 + [5.0] * 300 + [0.05]) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("offset", [-3600.0, -5.0, 3600.0, 1e9])
def test_another_clock_makes_nothing_late_and_is_said(offset):
    delay = Delay()
    assert lateness(delay, [offset + 0.05] * 90) == pytest.approx(0, abs=0.01)
    assert "another clock" in delay.words
    assert ("ahead" if offset < 0 else "behind") in delay.words


@pytest.mark.parametrize("offset", [-3600.0, 3600.0])
def test_what_is_late_by_another_clock_is_late(offset):
    assert lateness(Delay(), [offset] * 90 + [offset + 5.0] * 30) == pytest.approx(5.0, abs=0.1)


def test_clocks_that_differ_by_seconds_are_taken_out_where_the_user_says_so():
    assert lateness(Delay("other"), [5.0] * 90) == pytest.approx(0.0, abs=0.01)
    assert lateness(Delay("shared"), [3600.0] * 90) == pytest.approx(3600.0, abs=0.1)


@pytest.mark.parametrize("pace", [0.2, 0.5, 1.0, 2.0])
def test_a_recording_may_be_played_at_another_pace(pace):
    assert lateness(Delay(), [1e8] * 600, pace) < 0.2


def test_a_recording_on_simulated_time_has_the_clock_of_its_stamps():
    delay = Delay()
    assert lateness(delay, [-0.01, 0.0, 0.01] * 200) < 0.05
    assert delay.words == ""


def test_in_a_recording_that_is_stepped_through_nothing_is_late():
    delay = Delay("recording")
    assert lateness(delay, [0.0, 3.0, 1.0, 9.0, 60.0]) == 0.0
    assert "recording" in delay.words


def test_simulated_time_that_does_not_run_yet_tells_nothing():
    delay = Delay()
    assert delay.arrived(NOW, 0) == 0
    assert lateness(delay, [0.05] * 10) == pytest.approx(0.05, abs=1e-3)


def test_memory_is_bounded():
    delay = Delay()
    lateness(delay, [0.05] * 5000)
    assert len(delay._delays) <= 600
