"""Closing speed and time to contact of a tool whose distance changes in a known way."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.scene.approach import CLOSE, CONTACT, FREE, UNKNOWN, Approaches
from endosfm3d_ros.scene.clearance import Clearance


def at(distance: float, bound: float | None = None) -> Clearance:
    bound = max(0.0, distance - 0.002) if bound is None else bound
    return Clearance(1, np.zeros(3), distance, bound, "measured", True)


def moved(speed: float, frames: int = 10, start: float = 0.02, noise: float = 0.0):
    """The approach after some frames at 20 Hz."""
    approaches, generator = Approaches(), np.random.default_rng(0)
    for i in range(frames):
        distance = start - speed * 0.05 * i + noise * generator.normal()
        answer = approaches.look(at(distance), i * 50_000_000)
    return approaches, answer, distance


@pytest.mark.parametrize("speed", [0.01, 0.03])
def test_a_tool_that_approaches_has_a_time_until_its_bound_is_used_up(speed):
    _, answer, distance = moved(speed, noise=0.0001)
    assert answer.closing_speed == pytest.approx(speed, rel=0.1)
    assert answer.time_to_contact == pytest.approx((distance - 0.002) / speed, rel=0.1)


def test_one_that_leaves_or_rests_never_arrives():
    for speed in (-0.02, 0.0):
        _, answer, _ = moved(speed)
        assert answer.closing_speed == pytest.approx(speed, abs=1e-6)
        assert answer.time_to_contact == np.inf


def test_one_outlier_does_not_change_the_speed():
    approaches = Approaches()
    for i in range(10):
        answer = approaches.look(at(0.02 if i != 6 else 0.005), i * 50_000_000)
    assert abs(answer.closing_speed) < 0.001


def test_nothing_is_known_of_the_first_images_and_after_a_gap():
    approaches, answer, _ = moved(0.01, frames=3)
    assert np.isnan(answer.closing_speed) and np.isnan(answer.time_to_contact)
    approaches, answer, _ = moved(0.01)
    assert approaches.look(Clearance.invalid(1, "hidden"), 10**9).state == UNKNOWN
    answer = approaches.look(at(0.02), 10**9 + 50_000_000)
    assert np.isnan(answer.closing_speed)
    back = approaches.look(at(0.02), 5)  # a recording that begins again
    assert np.isnan(back.closing_speed)


def test_the_state_is_the_cautious_one():
    approaches = Approaches()
    states = [
        approaches.look(at(*pair), i).state
        for i, pair in enumerate([(0.02, 0.015), (0.01, 0.004), (0.003, 0.0), (0.0005, 0.0)])
    ]
    assert states == [FREE, CLOSE, CLOSE, CONTACT]
