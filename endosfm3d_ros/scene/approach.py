"""How a distance changes: closing speed, time to contact, and the state in a word."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.scene.clearance import Clearance

WINDOW = 0.6  # s of valid distances that a speed is measured over
LEAST_SPAN = 0.15  # s that they must cover
LEAST_COUNT = 4
STILL = 0.001  # m/s below which nothing approaches
TOUCHING = 0.001  # m; with a bound of nothing, contact is likely
NEAR = 0.005  # m of the lower bound, below which a tool is near

CONTACT, CLOSE, FREE, UNKNOWN = "contact", "near", "free", "unknown"


@dataclass(frozen=True)
class Approach:
    """Of one tool; NaN where it is not known."""

    closing_speed: float  # m/s, positive towards the tissue
    time_to_contact: float  # s until the lower bound is used up at that speed; infinite if never
    state: str  # contact | near | free | unknown


NOT_KNOWN = Approach(float("nan"), float("nan"), UNKNOWN)


class Approaches:
    """Remembers the last valid distances of every tool."""

    def __init__(self) -> None:
        self._past: dict[int, deque[tuple[int, float]]] = {}

    def look(self, found: Clearance, stamp: int) -> Approach:
        """What a clearance adds; one that is not valid ends what was known.

        Args:
            found: of the tool.
            stamp: ns, of its image; one that goes back begins anew.
        """
        past = self._past.setdefault(found.id, deque())
        if not found.valid:
            past.clear()
            return NOT_KNOWN
        if past and stamp <= past[-1][0]:
            past.clear()
        past.append((stamp, found.distance))
        while stamp - past[0][0] > WINDOW * 1e9:
            past.popleft()
        speed = closing_speed(past)
        return Approach(speed, time_to_contact(found.lower_bound_95, speed), state_of(found))

    def keep(self, tools: tuple[int, ...]) -> None:
        """Forget all other tools."""
        self._past = {tool: past for tool, past in self._past.items() if tool in tools}


def closing_speed(past: deque[tuple[int, float]]) -> float:
    """m/s by the median slope between all pairs; NaN where they are few or close in time."""
    stamps, distances = np.array(past, float).T
    seconds = (stamps - stamps[-1]) * 1e-9
    if len(past) < LEAST_COUNT or -seconds[0] < LEAST_SPAN:
        return float("nan")
    first, second = np.triu_indices(len(past), 1)
    slopes = (distances[second] - distances[first]) / (seconds[second] - seconds[first])
    return -float(np.median(slopes))


def time_to_contact(bound: float, speed: float) -> float:
    """s; infinite where nothing approaches, NaN where the speed is not known."""
    if np.isnan(speed):
        return float("nan")
    return bound / speed if speed > STILL else float("inf")


def state_of(found: Clearance) -> str:
    """In a word, of a valid clearance."""
    if found.lower_bound_95 <= 0 and found.distance < TOUCHING:
        return CONTACT
    return CLOSE if found.lower_bound_95 < NEAR else FREE
