"""Which parts a frame must have: what a scene began with, and what could make it better.

Pure logic on a steady clock in seconds. A scene keeps the source of its metres. Where a better one
appears, a new scene begins with it; where it is lost, nothing takes its place until a reset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from endosfm3d_ros.inputs.report import InputReport, Severity
from endosfm3d_ros.types import Frame

PATIENCE = 2.0  # s that the first images wait for a part that is announced and silent
SILENT = 0.5  # s without a part that the scene rests on
FRESH = 1.0  # s for which a part counts as there


class Rank(IntEnum):
    """What depth of a frame rests on."""

    ONE_EYE = 0
    PAIR = 1
    GIVEN = 2


NAMES = {Rank.ONE_EYE: "one eye", Rank.PAIR: "both eyes", Rank.GIVEN: "depth_in"}
PARTS = {Rank.PAIR: "right", Rank.GIVEN: "depth"}
TOPICS = {"right": "right/image_raw", "depth": "depth_in"}


@dataclass
class Seen:
    """What is known of the optional inputs at one moment."""

    announced: set[str] = field(default_factory=set)  # parts that somebody publishes
    calibrated: bool = False  # both eyes have a calibration that can be used
    calibration_due: bool = False  # one may still come
    pairable: bool = True  # stamps of the eyes tell which belong together


class PartsPolicy:
    """Asked for the parts that frames must have; told what comes and what is handed on.

    Args:
        source: the parameter depth_source.
        report: hears what is missing, as long as it is.
    """

    def __init__(self, source: str, report: InputReport) -> None:
        self._source, self._report = source, report
        self._best = Rank.ONE_EYE  # that any scene had
        self._heard: dict[str, float] = {}
        self.new_scene(None)

    def new_scene(self, now: float | None) -> None:
        """The next frame chooses anew; None before the first image."""
        self.rank: Rank | None = None
        self._first = now

    def image(self, now: float) -> None:
        """A left image came."""
        self._first = now if self._first is None else self._first

    def heard(self, part: str, now: float) -> None:
        """A usable right image or depth image came."""
        self._heard[part] = now

    def required(self, seen: Seen, now: float) -> set[str]:
        """Parts without which a frame is not handed on."""
        if self.rank in PARTS:
            return {PARTS[self.rank]}
        for rank in (Rank.GIVEN, Rank.PAIR):
            if self._awaited(rank, seen, now):
                return {PARTS[rank]}
        return set()

    def rises(self, frame: Frame) -> bool:
        """Whether this frame is worth a new scene: it has metres that the scene lacks."""
        lacking = self.rank == Rank.ONE_EYE and self._source == "auto"
        return lacking and rank_of(frame) > self.rank

    def handed_on(self, frame: Frame) -> None:
        """A frame goes to the pipeline; the first one of a scene chooses."""
        if self.rank is None:
            self.rank = self._allowed(rank_of(frame))
            self._best = max(self._best, self.rank)

    def watch(self, seen: Seen, now: float) -> None:
        """Say what is missing and for how long."""
        for part, topic in TOPICS.items():
            self._watch_part(part, topic, seen, now)
        lost = self.rank is not None and self.rank < self._best
        if lost:
            self._report.missing(
                "depth",
                "lost source",
                f"from {NAMES[self.rank]}, after it was from {NAMES[self._best]}",
                f"a new scene begins when {TOPICS[PARTS[self._best]]} is back",
            )
        else:
            self._report.settle("depth", "lost source")

    def _watch_part(self, part: str, topic: str, seen: Seen, now: float) -> None:
        silence = now - self._heard.get(part, self._first if self._first is not None else now)
        if self.rank in PARTS and PARTS[self.rank] == part and silence > SILENT:
            self._report.missing(
                topic,
                "silent",
                f"silent for {silence:.0f} s, and this scene takes its metres from it",
                "reset begins a scene without it",
                Severity.ERROR,
            )
        elif part in seen.announced and self._wanted(part) and silence > PATIENCE:
            self._report.missing(
                topic, "silent", "somebody publishes it, and no message comes that can be used"
            )
        else:
            self._report.settle(topic, "silent")

    def _awaited(self, rank: Rank, seen: Seen, now: float) -> bool:
        """Whether frames shall wait for the part that makes this rank."""
        part = PARTS[rank]
        if part not in seen.announced or not self._wanted(part):
            return False
        young = self._first is None or now - self._first < PATIENCE
        there = now - self._heard.get(part, float("-inf")) < FRESH
        if rank == Rank.PAIR:
            possible = (seen.calibrated or (seen.calibration_due and young)) and seen.pairable
            if not possible:
                return self._source == "stereo"
        if self.rank is None:
            return there or young or self._source != "auto"
        return there and self._source == "auto"

    def _wanted(self, part: str) -> bool:
        return self._source in {"right": ("auto", "stereo"), "depth": ("auto", "topic")}[part]

    def _allowed(self, rank: Rank) -> Rank:
        part = PARTS.get(rank)
        return rank if part is None or self._wanted(part) else Rank.ONE_EYE


def rank_of(frame: Frame) -> Rank:
    """What depth of this frame can rest on."""
    if frame.depth is not None:
        return Rank.GIVEN
    if frame.right_image is not None and frame.stereo is not None:
        return Rank.PAIR
    return Rank.ONE_EYE
