"""An eye that repeats its last picture under new stamps: such a pair is of two moments."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.errors import InputError

STEP = 4  # px between those that are compared
MOVED = 2.0  # grey levels, on average, by which the other eye has changed meanwhile


class FrozenEye:
    """Compares each pair with the last one in which both eyes were new.

    Sensors never send the same picture twice, encoders of a scene at rest do: so the other eye must
    have changed clearly before anything is said.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another pair."""
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def check(self, left: np.ndarray, right: np.ndarray) -> None:
        """Look at a pair of (H, W) uint8 images.

        Raises:
            InputError: one eye repeats itself, the other one has moved on.
        """
        eyes = left[::STEP, ::STEP].copy(), right[::STEP, ::STEP].copy()
        before = self._last
        if before is None or before[0].shape != eyes[0].shape:
            self._last = eyes
            return
        same = [np.array_equal(now, then) for now, then in zip(eyes, before)]
        if not any(same):
            self._last = eyes
        for name, frozen, at in (("right", same[1], 0), ("left", same[0], 1)):
            moved = np.abs(eyes[at].astype(np.int16) - before[at]).mean() if frozen else 0.0
            if moved > MOVED:
                raise InputError(
                    f"the {name} eye repeats its last picture under new stamps while the other one "
                    f"has changed by {moved:.1f} grey levels, {MOVED:.1f} are accepted: no pair of "
                    "one moment; see whether its driver or cable has stopped"
                )
