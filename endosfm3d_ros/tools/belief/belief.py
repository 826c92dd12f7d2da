"""How sure it is that a tracked region is an instrument, image by image, with the reason in words.

Cues become log odds that add up and are averaged over the last images; a few images prove little.
The weights were chosen so that generated scenes with instruments, and generated and real ones
without, fall on their sides with room between them; see docs/hazards.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.tools.belief.cues import Cues


@dataclass(frozen=True)
class Line:
    """Log odds that grow with a cue between two bounds."""

    middle: float  # value of the cue that says nothing
    scale: float  # of the cue, for one unit
    least: float
    most: float

    def __call__(self, value: float) -> float:
        """Log odds of a value; none for NaN."""
        if np.isnan(value):
            return 0.0
        return float(np.clip((value - self.middle) / self.scale, self.least, self.most))


@dataclass(frozen=True)
class BeliefConfig:
    """What each cue is worth."""

    measured_step: Line = Line(0.05, 0.005, -12.0, 4.0)  # of depth from two eyes or a sensor
    guessed_step: Line = Line(0.03, 0.03, -3.0, 1.0)  # of a network that may guess steps too
    redness: Line = Line(0.1, 0.1, -1.0, 1.0)
    black: Line = Line(0.08, -0.02, -6.0, 0.0)
    probability: Line = Line(0.85, 0.025, -4.0, 2.0)
    iou: Line = Line(0.65, 0.1, -2.0, 2.0)
    given: float = 3.0  # masks that come with the images are somebody's word
    blind: float = -0.5  # no depth at all
    inner: float = -3.0  # has never reached the border of the picture
    memory: float = 0.25  # share of a new image in the average
    trusted: float = 0.8  # confidence from which on an instrument is one


@dataclass(frozen=True)
class Belief:
    """What is believed of one tool."""

    confidence: float  # 0..1, that it is an instrument
    trusted: bool
    reason: str = ""  # the strongest objection, where it is not trusted


UNKNOWN = Belief(0.0, False, "it has not been looked at yet")
OBJECTIONS = {
    "step": "no depth step across its outline: it lies in the tissue",
    "redness": "it has the colour of its surroundings",
    "black": "it reaches into the black surround of the picture",
    "probability": "the network of the masks hesitates",
    "iou": "it has not the shape of the model",
    "blind": "no depth is known there",
    "inner": "it does not come in from the border of the picture",
}


class Believer:
    """Belief in one tracked tool."""

    def __init__(self, config: BeliefConfig | None = None) -> None:
        self.config = config or BeliefConfig()
        self._odds = 0.0
        self._count = 0
        self._entered = False
        self.belief = UNKNOWN

    def look(self, cues: Cues, measured: bool, given: bool) -> Belief:
        """Take in one image.

        Args:
            cues: of the image.
            measured: whether its depth is measured, not guessed by a network.
            given: whether the mask came with the image.
        """
        config, self._entered = self.config, self._entered or cues.enters
        step = config.measured_step if measured else config.guessed_step
        said = {
            "step": step(cues.step),
            "redness": config.redness(cues.redness),
            "black": config.black(cues.black),
            "probability": config.probability(cues.probability),
            "iou": config.iou(cues.iou),
            "blind": config.blind if np.isnan(cues.step) else 0.0,
            "inner": 0.0 if self._entered else config.inner,
        }
        odds = sum(said.values()) + (config.given if given else 0.0)
        self._count += 1
        share = max(config.memory, 1 / self._count)
        self._odds += share * (odds - self._odds)
        known = (self._count + 1) / (self._count + 2)  # what so many images can prove at all
        confidence = float(min(known, 1 / (1 + np.exp(-self._odds))))
        trusted = confidence >= config.trusted - 1e-9
        worst = min(said, key=said.get)
        reason = OBJECTIONS[worst] if said[worst] < 0 else "it has not been seen for long enough"
        self.belief = Belief(confidence, trusted, "" if trusted else reason)
        return self.belief
