"""A pair that no longer fits its calibration is no source of metres: measured while it runs."""

from __future__ import annotations

from collections import deque

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.epipolar import pair_fit
from endosfm3d_ros.inputs.judging import rows_limit
from endosfm3d_ros.sfm.depth.frozen_eye import FrozenEye

PERIOD = 1_000_000_000  # ns between looks while all is well
FORWARD = 0.3  # share of matches in front of the camera below which the eyes are exchanged
FELL = 0.6  # of the usual coverage: then it is looked at once, before the depth is believed
REMEMBERED = 15  # frames from which the usual coverage is known


class PairWatch:
    """Looks at rectified pairs now and then, and at once where something seems wrong."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another pair."""
        self._frozen = FrozenEye()
        self._looked: int | None = None
        self._wrong = False
        self._coverages: deque[float] = deque(maxlen=REMEMBERED)

    def check(self, stamp: int, left: np.ndarray, right: np.ndarray, infinity: float) -> None:
        """Look at a pair that is due.

        Args:
            stamp: of the frame in nanoseconds.
            left: (H, W) uint8 rectified.
            right: (H, W) uint8 rectified.
            infinity: disparity of a point at infinity in px.

        Raises:
            InputError: one eye stands still while the other moves, or matches lie off their rows
                or behind the camera.
        """
        due = self._looked is None or not 0 <= stamp - self._looked < PERIOD
        if due or self._wrong:
            self._look(stamp, left, right, infinity)
        self._frozen.check(left, right)

    def check_coverage(
        self, coverage: float, stamp: int, left: np.ndarray, right: np.ndarray, infinity: float
    ) -> None:
        """Look at a pair whose depth has far fewer valid pixels than usual.

        Raises:
            InputError: as `check`.
        """
        usual = np.median(self._coverages) if self._coverages else 0.0
        if coverage < FELL * usual:
            self._look(stamp, left, right, infinity)
        self._coverages.append(coverage)

    def _look(self, stamp: int, left: np.ndarray, right: np.ndarray, infinity: float) -> None:
        fit = pair_fit(left, right, infinity)
        if fit is None:  # too little to see: what was known before holds
            if self._wrong:
                raise InputError("the pair did not fit its calibration, and shows too little now")
            return
        self._looked, self._wrong = stamp, True
        if fit.forward < FORWARD:
            raise InputError(
                f"left and right images look exchanged: only {fit.forward:.0%} of {fit.count} "
                f"matches lie in front of the camera, {FORWARD:.0%} are needed"
            )
        limit = rows_limit(left.shape[1])
        if fit.rows > limit:
            raise InputError(
                f"the calibration does not fit the images: {fit.count} matches lie {fit.rows:.1f} "
                f"px off their rows (median, {left.shape[1]} px wide), {limit:.1f} are accepted; "
                "calibrate anew, or send the calibration of these images"
            )
        self._wrong = False
