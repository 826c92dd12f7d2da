"""How much detail the scene gets: set by name, or by what the machine keeps up with.

A slow machine shall show a coarser scene that is current, not a fine one that is stale. Whether it
keeps up is seen from what frames leave idle, so a machine that is busy with other work counts as
a slow one for as long as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from endosfm3d_ros.errors import ConfigurationError

QualityName = Literal["auto", "fast", "balanced", "fine"]


@dataclass(frozen=True)
class Quality:
    """One step of detail; all values are shares of what the configuration says."""

    name: str
    width: float  # working width of the tissue map
    budget: float  # time of one update of the map
    stereo_width: float  # width at which the eyes are matched


STEPS = (
    Quality("fast", width=0.625, budget=0.3, stereo_width=0.5),
    Quality("balanced", width=1.0, budget=1.0, stereo_width=1.0),
    Quality("fine", width=1.25, budget=2.0, stereo_width=1.0),
)
FAST, BALANCED = STEPS[0], STEPS[1]
DEARER = 2.0  # what one update costs with `balanced`, in updates with `fast`


def quality_named(name: str) -> Quality:
    """The step of that name; `auto` begins with `balanced`.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in get_args(QualityName):
        raise ConfigurationError(
            f"quality '{name}': accepted are {', '.join(get_args(QualityName))}"
        )
    return next((step for step in STEPS if step.name == name), BALANCED)


@dataclass(frozen=True)
class QualityConfig:
    """When `auto` changes the step. Times are of the steady clock."""

    slow: float = 1 / 8  # s from update to update; a machine that needs more does not keep up
    quick: float = 0.055  # s of work an update; `balanced` takes about twice that of `fast`
    down_after: float = 2.0  # s without keeping up
    up_after: float = 8.0  # s with room to spare; doubled by each step up that did not last
    longest: float = 120.0  # s


@dataclass
class QualityControl:
    """Goes down when frames come faster than they can be taken, and up when there is room again.

    `fine` is never taken by itself: it is for those who ask for it.
    """

    name: str = "auto"
    config: QualityConfig = field(default_factory=QualityConfig)

    def __post_init__(self) -> None:
        self.step = quality_named(self.name)
        self._since: float | None = None  # of the present condition
        self._condition = ""
        self._up_after = self.config.up_after

    def try_out(self) -> None:
        """The step at which the stages are rehearsed: the quickest one that may be taken."""
        if self.name == "auto":
            self.step = FAST

    def begin(self, seconds: float) -> Quality:
        """Choose the first step by what one update took at the step that was tried out."""
        if self.name == "auto":
            self.step = FAST if DEARER * seconds > self.config.slow else BALANCED
        return self.step

    def lower(self) -> Quality:
        """The quickest step from now on, by name or not: memory is scarce."""
        self.name, self.step = FAST.name, FAST
        return self.step

    def observe(self, now: float, work: float, saturated: bool) -> Quality:
        """The step for the next frame.

        Args:
            now: time in s.
            work: s from frame to frame that the slower half of the pipeline needs.
            saturated: whether frames come as fast as they are taken.
        """
        if self.name != "auto":
            return self.step
        c = self.config
        condition = ""
        if saturated and work > c.slow and self.step is BALANCED:
            condition = "slow"
        elif work < c.quick and self.step is FAST:
            condition = "quick"
        if condition != self._condition:
            self._condition, self._since = condition, now
        if condition == "slow" and now - self._since >= c.down_after:
            self.step, self._condition = FAST, ""
        elif condition == "quick" and now - self._since >= self._up_after:
            self.step, self._condition = BALANCED, ""
            self._up_after = min(2 * self._up_after, c.longest)  # until it has proved to last
        return self.step
