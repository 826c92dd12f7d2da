"""Whether a path becomes smoother when something is taken out of it: told by what comes next.

A correction is judged by frames that it was not learnt from. One that only fits what has been
seen makes the path rougher as often as not.
"""

from __future__ import annotations

from collections import deque

import numpy as np

LAG = 0.33  # s between the three places that an acceleration is told from
SPAN = 4.0  # s over which accelerations are remembered
KEPT = 256  # places at most


class Smoothness:
    """`add` every place with and without its correction."""

    def __init__(self) -> None:
        self._places: deque[tuple[float, np.ndarray, np.ndarray]] = deque(maxlen=KEPT)
        self._rough = self._corrected = self.seconds = 0.0  # that is told from

    def add(self, seconds: float, place: np.ndarray, corrected: np.ndarray) -> None:
        """Coordinates (6,) at a time, as they are and as they would be."""
        self._places.append((seconds, place, corrected))
        middle, first = self._before(seconds - LAG), self._before(seconds - 2 * LAG)
        if middle is None or first is None:
            return
        step = seconds - self._places[-2][0]
        self.seconds += max(step, 0.0)
        faded = np.exp(-max(step, 0.0) / SPAN)
        bends = (now - 2 * b + a for now, b, a in zip((place, corrected), middle, first))
        rough, smooth = (float(bend @ bend) for bend in bends)
        self._rough = faded * self._rough + rough
        self._corrected = faded * self._corrected + smooth

    @property
    def ratio(self) -> float | None:
        """Squared accelerations with over those without correction; None before any was seen."""
        return self._corrected / self._rough if self._rough > 0 else None

    def forget(self) -> None:
        """The path does not go on: accelerations across the gap mean nothing."""
        self._places.clear()

    def _before(self, seconds: float) -> tuple[np.ndarray, np.ndarray] | None:
        """The last place that is so old."""
        for time, place, corrected in reversed(self._places):
            if time <= seconds + 1e-6:
                return place, corrected
        return None
