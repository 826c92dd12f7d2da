"""Confidence intervals by resampling frames (Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RESAMPLES = 1000  # enough for the 2.5 % tails
SEED = 0  # the same numbers give the same interval

Interval = tuple[float, float]


def root_mean_square(values: np.ndarray) -> float:
    """sqrt of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def interval_95(
    values: np.ndarray, statistic: Callable[[np.ndarray], float] = np.mean
) -> Interval | None:
    """Percentile interval of a statistic of per-frame values; None below two values.

    Frames of one clip resemble each other: the interval says how much the choice of frames
    matters, not how much the next clip may differ.
    """
    count = len(values)
    if count < 2:
        return None
    draws = np.random.default_rng(SEED)
    samples = [statistic(values[draws.integers(count, size=count)]) for _ in range(RESAMPLES)]
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(low), float(high)
