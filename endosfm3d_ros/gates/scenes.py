"""Whether a result can be true, beside the results before it; asked before it is published."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.gates.grades import Grade, grades_of
from endosfm3d_ros.gates.limits import COVERAGE_FELL, JUMP_HELD, SCALE_JUMP
from endosfm3d_ros.inputs.plausibility import DEPTH
from endosfm3d_ros.types import ScaleSource, SceneUpdate

REMEMBERED = 60  # updates from which the usual coverage is known
LEAST = 10  # of them that must have come
SECOND = 10**9


@dataclass(frozen=True)
class Judgement:
    """What becomes of one update.

    `held` says why nothing of it may be published; empty where it may be.
    """

    grades: tuple[Grade, ...]
    held: str = ""
    collapsed: str = ""  # why its depth is doubted
    stale_mask: str = ""  # why its masks are not of its picture

    @property
    def no_clearance(self) -> str:
        """Why no distance of it may be said; empty where one may be."""
        return self.held or self.collapsed or self.stale_mask


class SceneGate:
    """Judges the updates of one scene in their order."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Another scene."""
        self._coverages: deque[float] = deque(maxlen=REMEMBERED)
        self._median: tuple[int, float, ScaleSource] | None = None  # stamp, m, of the last accepted
        self._jumped: int | None = None  # stamp of the first result after a jump

    def judge(self, update: SceneUpdate, stale_mask: str = "") -> Judgement:
        """What one update is worth.

        Args:
            update: of one image.
            stale_mask: what the input gate says of its masks.
        """
        held = self._impossible(update) or self._jump(update)
        collapsed = "" if held else self._collapse(update)
        grades = grades_of(update, held or collapsed, stale_mask)
        return Judgement(grades, held, collapsed, stale_mask)

    def _impossible(self, update: SceneUpdate) -> str:
        """Metric depth that no endoscope can have seen."""
        median = _median(update)
        if median is None or update.depth.scale == ScaleSource.RELATIVE:
            return ""
        if DEPTH.holds(1e3 * median):
            return ""
        return f"the depth has a median of {1e3 * median:g} mm: {DEPTH} are accepted"

    def _jump(self, update: SceneUpdate) -> str:
        """Depth that is another from one picture to the next."""
        median, stamp, source = _median(update), update.frame.stamp, update.depth.scale
        if median is None:
            return ""
        if self._median is not None and self._median[2] == source:
            since, before, _ = self._median
            if self._jumped is not None:
                over = stamp - self._jumped > JUMP_HELD.value * SECOND
            else:
                over = not 0 <= stamp - since < SECOND / 4
            times = max(median / before, before / median)
            if not over and times > SCALE_JUMP.value:
                self._jumped = self._jumped or stamp
                return (
                    f"the depth jumped from a median of {1e3 * before:.0f} to {1e3 * median:.0f} "
                    f"mm: {SCALE_JUMP.value:g} times are accepted; held back until it returns, or "
                    f"for {JUMP_HELD.value:g} s"
                )
        self._median, self._jumped = (stamp, median, source), None
        return ""

    def _collapse(self, update: SceneUpdate) -> str:
        """Far fewer valid pixels than usual."""
        coverage = update.depth.coverage
        usual = float(np.median(self._coverages)) if len(self._coverages) >= LEAST else 0.0
        self._coverages.append(coverage)
        if coverage >= COVERAGE_FELL.value * usual:
            return ""
        return (
            f"depth covers {coverage:.0%} of the picture, {usual:.0%} are usual: "
            f"{COVERAGE_FELL.value:g} times that is the least"
        )


def _median(update: SceneUpdate) -> float | None:
    """Of the valid depth that is not of instruments, every fourth pixel; None without any."""
    depth = update.depth.depth[::4, ::4]
    if update.labels is not None and update.labels.shape == update.depth.depth.shape:
        depth = depth[update.labels[::4, ::4] == 0]
    depth = depth[np.isfinite(depth)]
    return float(np.median(depth)) if len(depth) else None
