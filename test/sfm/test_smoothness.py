"""Whether a path becomes smoother without something."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.sfm.tracking.smoothness import Smoothness


def judged(correction, count: int = 60) -> Smoothness:
    """A smooth path that shakes, with a correction by time."""
    smoothness = Smoothness()
    for i in range(count):
        t = 0.1 * i
        place = np.full(6, 0.1 * np.sin(0.3 * t) + 0.02 * np.sin(2 * t))
        smoothness.add(t, place, place - correction(t))
    return smoothness


def test_without_what_shakes_it_the_path_is_smoother():
    assert judged(lambda t: 0.02 * np.sin(2 * t)).ratio < 0.05
    assert judged(lambda t: 0.0).ratio == pytest.approx(1.0)
    assert judged(lambda t: 0.02 * np.cos(5 * t)).ratio > 1.3


def test_nothing_is_said_before_an_acceleration_was_seen_nor_across_a_gap():
    assert judged(lambda t: 0.0, count=5).ratio is None
    smoothness = judged(lambda t: 0.0)
    smoothness.forget()
    smoothness.add(100.0, np.full(6, 1e3), np.zeros(6))
    assert smoothness.ratio == pytest.approx(1.0)
