"""Intervals of per-frame values."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.evaluation.metrics.bootstrap import interval_95, root_mean_square


def test_the_interval_of_a_mean_has_its_textbook_width():
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = interval_95(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_intervals_are_repeatable():
    values = np.random.default_rng(1).normal(size=50)
    assert interval_95(values) == interval_95(values)


def test_equal_values_leave_no_doubt():
    assert interval_95(np.full(10, 3.0), root_mean_square) == pytest.approx((3, 3))


def test_one_frame_has_no_interval():
    assert interval_95(np.array([1.0])) is None
