"""Which messages of two topics belong together, by their stamps in nanoseconds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np


def increasing(stamps: Sequence[int]) -> list[int]:
    """Positions of the longest series of stamps that rise, of two the one that began earlier.

    So late and repeated ones go, and one damaged stamp of the far future takes only itself.
    """
    tails: list[int] = []  # greatest stamp that begins a rising series of each length, negated
    ends: list[int] = []  # its position
    following: dict[int, int] = {}
    for position in reversed(range(len(stamps))):
        if stamps[position] < 0:
            continue
        length = bisect_left(tails, -stamps[position])
        following[position] = ends[length - 1] if length else -1
        tails[length : length + 1], ends[length : length + 1] = [-stamps[position]], [position]
    positions = [ends[-1]] if ends else []
    while positions and following[positions[-1]] >= 0:
        positions.append(following[positions[-1]])
    return positions


def partners(stamps: Sequence[int], others: Sequence[int], slop: int) -> list[int | None]:
    """For each stamp the position of its partner in `others`, or None.

    Two belong together when each is the other's nearest and they are at most `slop` apart. So
    equal stamps always do, no partner is used twice, and partners come in order.

    Args:
        stamps: increasing.
        others: increasing.
        slop: largest difference.
    """
    if not len(stamps) or not len(others):
        return [None] * len(stamps)
    ours, theirs = np.array(stamps, np.int64), np.array(others, np.int64)
    there, back = _nearest(ours, theirs), _nearest(theirs, ours)
    mutual = back[there] == np.arange(len(ours))
    close = np.abs(theirs[there] - ours) <= slop
    return [int(at) if good else None for at, good in zip(there, mutual & close)]


def _nearest(stamps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each stamp the position of the nearest of the others, the earlier one of two."""
    after = np.searchsorted(others, stamps).clip(0, len(others) - 1)
    before = (after - 1).clip(0)
    return np.where(stamps - others[before] <= others[after] - stamps, before, after)
