"""Which images of two topics are of one moment, where their clocks or drivers stamp them apart.

A constant difference of less than a quarter of a frame period is measured and taken out. Nearer to
half a period nobody can say which of two neighbours belongs to an image, and beyond a period the
clocks are two: such pairs are refused, because a pair of different moments is wrong depth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SAME = 2_000_000  # ns; drivers that copy stamps differ by rounding only
LEARNT = 6  # stamps of each side from which period and offset are known
KEPT = 30  # stamps of each side
SHARE = 0.25  # of the period: within it a partner is certain
AHEAD, BEHIND = 300_000_000, 3_000_000_000  # ns; a companion cannot come before its moment
CURE = "let both drivers stamp the moment of exposure"
STEADY = 0.15  # of the period: by which offsets may scatter, as a median


@dataclass(frozen=True)
class Offset:
    """How stamps of a companion differ from those of the left image; nanoseconds."""

    value: int  # companion minus left, to be taken out
    tolerance: int  # by which stamps may still differ
    certain: bool  # whether pairs can be told at all
    words: str = ""  # what there is to say; "" where stamps agree
    cure: str = ""


def measure(lefts: Sequence[int], others: Sequence[int], slop: int) -> Offset | None:
    """Offset of two series of increasing stamps; None while they do not tell.

    Args:
        lefts: stamps of the left images in nanoseconds.
        others: stamps of the companion, at the same rate or at another one.
        slop: largest difference that the user allows.
    """
    if min(len(lefts), len(others)) < LEARNT:
        return None
    ours, theirs = np.array(lefts, np.int64), np.array(others, np.int64)
    periods = float(np.median(np.diff(ours))), float(np.median(np.diff(theirs)))
    period = min(periods)
    # From the slower side to the faster one: each of its stamps has a partner.
    rare, dense, sign = (theirs, ours, 1) if periods[1] >= periods[0] else (ours, theirs, -1)
    rare = rare[(rare > dense[0] - period) & (rare < dense[-1] + period)]
    if len(rare) < LEARNT // 2:
        return None
    differences = sign * (rare - dense[_nearest(rare, dense)])
    value = int(np.median(differences))
    scatter = float(np.median(np.abs(differences - value)))
    tolerance = int(min(slop, SHARE * period))
    if abs(value) <= SAME and scatter <= SAME:
        return Offset(0, tolerance, True)
    if scatter > STEADY * period or abs(value) > SHARE * period:
        return _uncertain(value, scatter, period)
    words = (
        f"stamped {value * 1e-6:+.1f} ms from the left images, {scatter * 1e-6:.1f} ms of scatter, "
        f"at {period * 1e-6:.1f} ms a frame: taken out"
    )
    return Offset(value, tolerance, True, words, CURE)


def paired(
    lefts: Sequence[int], others: Sequence[int], slop: int
) -> tuple[list[int | None], Offset | None]:
    """For each left stamp of a recording the position of its partner, and the offset taken out.

    Args:
        lefts: increasing stamps in nanoseconds.
        others: increasing stamps of the companion.
        slop: largest difference that the user allows.
    """
    offset = measure(lefts, others, slop)
    if not lefts or not others or (offset is not None and not offset.certain):
        return [None] * len(lefts), offset
    value, tolerance = (offset.value, offset.tolerance) if offset else (0, slop)
    if offset is None and len(lefts) > 1:
        tolerance = int(min(slop, SHARE * np.median(np.diff(lefts))))
    ours, theirs = np.array(lefts, np.int64), np.array(others, np.int64) - value
    there, back = _nearest(ours, theirs), _nearest(theirs, ours)
    good = (back[there] == np.arange(len(ours))) & (np.abs(theirs[there] - ours) <= tolerance)
    return [int(at) if fits else None for at, fits in zip(there, good)], offset


class EyeSync:
    """Learns the offset of a companion's stamps while they come.

    Args:
        slop: largest difference that the user allows, in nanoseconds.
    """

    def __init__(self, slop: int) -> None:
        self._slop = slop
        self.clear()

    def clear(self) -> None:
        """A new stream: nothing is known."""
        self._lefts: deque[int] = deque(maxlen=KEPT)
        self._others: deque[int] = deque(maxlen=KEPT)
        self._ahead: deque[int] = deque(maxlen=LEARNT)  # of the newest left stamp, on arrival
        self.offset: Offset | None = None

    def left(self, stamp: int) -> None:
        """A left image came."""
        self._add(self._lefts, stamp)

    def other(self, stamp: int) -> None:
        """A companion came."""
        if self._lefts:
            self._ahead.append(stamp - self._lefts[-1])
        self._add(self._others, stamp)

    def match(self, stamp: int, candidates: Sequence[int], to_left: bool) -> int | None:
        """The candidate that is of the moment of `stamp`; None where there is none, or no telling.

        Args:
            stamp: of a companion where `to_left`, else of a left image.
            candidates: stamps of the other side.
            to_left: whether a left image is looked for.
        """
        offset = self.offset
        value, tolerance = (0, min(SAME, self._slop))
        if offset is not None:
            if not offset.certain:
                return None
            value, tolerance = offset.value, offset.tolerance
        wanted = stamp - value if to_left else stamp + value
        best = min(candidates, key=lambda other: abs(other - wanted), default=None)
        return best if best is not None and abs(best - wanted) <= tolerance else None

    def _add(self, stamps: deque[int], stamp: int) -> None:
        if stamps and stamp <= stamps[-1]:
            if stamp < stamps[-1]:
                stamps.clear()  # time ran back: a loop
            else:
                return
        stamps.append(stamp)
        found = measure(self._lefts, self._others, self._slop)
        self.offset = self._two_clocks() or found or self.offset

    def _two_clocks(self) -> Offset | None:
        """Companions that arrive together with images of quite another time."""
        if len(self._ahead) < LEARNT:
            return None
        value, scatter = int(np.median(self._ahead)), int(np.ptp(self._ahead))
        if -BEHIND <= value <= AHEAD or scatter > AHEAD:
            return None
        words = (
            f"stamped {value * 1e-9:+.3f} s from the left images that arrive with them: these are "
            "two clocks, and no pair can be told"
        )
        return Offset(value, 0, False, words, "synchronise both computers (PTP, chrony)")


def _nearest(stamps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each stamp the position of the nearest of the others."""
    after = np.searchsorted(others, stamps).clip(0, len(others) - 1)
    before = (after - 1).clip(0)
    return np.where(stamps - others[before] <= others[after] - stamps, before, after)


def _uncertain(value: int, scatter: float, period: float) -> Offset:
    """Partners on both sides are possible."""
    if scatter > STEADY * period:
        reason = f"differences to the left images scatter by {scatter * 1e-6:.1f} ms"
    else:
        other = value - np.sign(value) * period
        reason = (
            f"{value * 1e-6:+.1f} or {other * 1e-6:+.1f} ms from the left images, of which nobody "
            "can say the right one"
        )
    words = (
        f"{reason}, at {period * 1e-6:.1f} ms a frame; {SHARE * period * 1e-6:.1f} ms are "
        "accepted: no pair can be told"
    )
    return Offset(0, 0, False, words, CURE)
