"""Durations of named stages, measured on the steady clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np


class StageClock:
    """Collects the milliseconds that the stages of one frame took."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block; a stage entered twice adds up."""
        start = perf_counter()
        try:
            yield
        finally:
            elapsed = (perf_counter() - start) * 1e3
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + elapsed


class LatencyWindow:
    """Percentiles of every stage over the last `length` frames; bounded memory."""

    def __init__(self, length: int = 200) -> None:
        self.length = length
        self._values: dict[str, deque[float]] = {}

    def add(self, milliseconds: dict[str, float]) -> None:
        """Enter the durations of one frame."""
        for name, value in milliseconds.items():
            self._values.setdefault(name, deque(maxlen=self.length)).append(value)

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """{stage: (median, 95th percentile)} in milliseconds."""
        return {
            name: tuple(np.percentile(values, (50, 95)).tolist())
            for name, values in self._values.items()
        }


class Slack:
    """Seconds that may be spent on a frame beside what it needs, where frames come slowly.

    What is spent is missing from the next wait, so most of a smoothed wait is given and not all.
    """

    SHARE, MEMORY = 0.8, 0.7
    LONGEST = 0.2  # s; a pause says nothing about the frames after it
    SCARCE = 0.02  # s, with less than which there is more to do than time

    def __init__(self) -> None:
        self.seconds = 0.0

    def waited(self, seconds: float) -> None:
        """Note how long there was nothing to do before a frame came."""
        given = self.SHARE * min(seconds, self.LONGEST)
        self.seconds = self.MEMORY * self.seconds + (1 - self.MEMORY) * given

    @property
    def scarce(self) -> bool:
        """Whether frames come as fast as they can be taken."""
        return self.seconds < self.SCARCE
