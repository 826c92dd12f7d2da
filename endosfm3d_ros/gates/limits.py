"""The one table of limits that inputs and results are held against, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from endosfm3d_ros.inputs.plausibility import DEPTH


@dataclass(frozen=True)
class Limit:
    """A number, what it bounds, and why it is this number."""

    value: float
    unit: str
    of: str
    source: str


MAX_AGE = Limit(
    0.5, "s", "age of a picture from which anything may be steered",
    "a hand at 50 mm/s moves 25 mm meanwhile, about the distance of instruments to tissue",
)  # fmt: skip
STILL_SHARE = Limit(
    0.97, "of the pixels", "sampled pixels that are as they were, for a picture to count as still",
    "12 real clips keep at most 40 % over half a second; overlays of a frozen picture may move",
)  # fmt: skip
STILL_FOR = Limit(
    0.5, "s", "time for which a picture may be still",
    "as the age: the picture is as old as it is still; repeated frames of slow sensors are shorter",
)  # fmt: skip
MASK_CHANGE = Limit(
    0.15, "of the pixels", "pixels below an unchanged mask that change before it counts as frozen",
    "a tool that is held still changes by its reflections only, 5 to 10 %",
)  # fmt: skip
GREY_CHANGE = Limit(
    25.0, "grey levels", "by which a pixel must differ to have changed",
    "noise of endoscopes stays below 10; tissue and metal differ by 40 and more",
)  # fmt: skip
SHARED_CLOCK = Limit(
    0.5, "s", "delay up to which stamps are of this machine's clock",
    "grabbers and networks need 0.02 to 0.3; synchronised clocks agree to 0.01",
)  # fmt: skip
OTHER_CLOCK = Limit(
    600.0, "s", "delay from which stamps are of another clock, or of a recording",
    "no transport keeps ten minutes of images",
)  # fmt: skip
CLOCK_DRIFT = Limit(
    2e-4, "s per s", "by which two clocks drift apart",
    "quartz is good to 1e-4, on both sides",
)  # fmt: skip
SCALE_JUMP = Limit(
    1.3, "times", "change of the median depth from one picture to the next",
    "at 50 mm a third is 15 mm, in one frame of 33 ms: no scope is moved at 0.4 m/s",
)  # fmt: skip
JUMP_HELD = Limit(
    2.0, "s", "time for which depth is held back after a jump, unless it returns",
    "long enough to be seen in the status; a cut of the picture is over by then",
)  # fmt: skip
COVERAGE_FELL = Limit(
    0.4, "of the usual", "share of valid depth below which it has collapsed",
    "a pair that no longer fits its calibration falls from 0.93 to 0.35; tissue folds cost 0.2",
)  # fmt: skip
EYE_LAG = Limit(
    0.12, "s", "time by which one eye may run behind the other",
    "scopes move 6 mm in it at 50 mm/s, a tenth of their distance; shorter lags move rows little",
)  # fmt: skip
LAG_GAIN = Limit(
    0.15, "of correlation", "by which rows must agree better at a lag than without",
    "on clips of both kinds the agreement without a lag stays within 0.05 of the best",
)  # fmt: skip
LIMITS = (
    MAX_AGE, STILL_SHARE, STILL_FOR, MASK_CHANGE, GREY_CHANGE, SHARED_CLOCK, OTHER_CLOCK,
    CLOCK_DRIFT, SCALE_JUMP, JUMP_HELD, COVERAGE_FELL, EYE_LAG,
    LAG_GAIN,
)  # fmt: skip


def table() -> str:
    """All limits as rows of Markdown, with that of depth from outside."""
    rows = [f"| {limit.of} | {limit.value:g} {limit.unit} | {limit.source} |" for limit in LIMITS]
    rows.append(f"| median of metric depth | {DEPTH} | {DEPTH.source} |")
    return "\n".join(["| limit of | value | why |", "|---|---|---|", *rows])
