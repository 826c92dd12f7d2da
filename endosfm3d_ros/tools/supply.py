"""Models of the tools that are known: ordered, taken in when they are ready, made anew."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.runtime.thread_limits import one_torch_thread
from endosfm3d_ros.tools.belief import Believer
from endosfm3d_ros.tools.models.source import ModelSource
from endosfm3d_ros.tools.models.workshop import Workshop
from endosfm3d_ros.tools.opjpo import Aligner, make_aligner
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement

log = logging.getLogger(__name__)

BESIDE = 9  # px at a width of 320, side of the square around a mask in which others crowd it
CROWD = 0.01  # share of others there, that makes no difference
COMPARED_AFTER = (6, 12, 24, 48, 96)  # frames, between comparisons of a model with others


@dataclass
class Known:
    """What is remembered of one id."""

    model: ToolModel | None = None
    aligner: Aligner | None = None
    placement: ToolPlacement | None = None
    making: Future[ToolModel] | None = None
    count: int = 0
    misfits: int = 0
    pause: int = 0  # frames until a source that failed slowly is asked again
    note: str = ""
    age: int = 0  # frames since the model was last compared with others
    compared: int = 0  # how often it was
    clutter: float = 1.0  # share of the surroundings that were other tools when it was chosen
    believer: Believer = field(default_factory=Believer)


class ModelSupply:
    """Gives tools their models, on a thread of its own.

    Args:
        models: where they come from.
        alignment: mode of the aligner that each gets.
        remake_frames: misfits in a row after which a model is made anew.
        in_background: False: a frame waits for its models.
    """

    def __init__(
        self, models: ModelSource, alignment: str, remake_frames: int, in_background: bool
    ) -> None:
        self.models, self.alignment = models, alignment
        self.remake_frames, self.in_background = remake_frames, in_background
        self.workshop = Workshop(in_background)

    def attend(self, known: Known, observation: ToolObservation) -> None:
        """Order a model where one is needed, and take it in when it is ready."""
        outworn = known.misfits >= self.remake_frames
        known.pause = max(known.pause - 1, 0)
        known.age += 1
        if known.making is None and not known.pause and (known.model is None or outworn):
            known.misfits = 0
            known.clutter = crowded(observation)
            known.making = self.workshop.order(lambda: self._make(observation))
        elif known.making is None and self._to_compare(known, observation):
            known.age, known.compared = 0, known.compared + 1
            model, placement = known.model, known.placement
            known.making = self.workshop.order(lambda: self._better(observation, model, placement))
        if known.making is None or not (known.making.done() or not self.in_background):
            return
        making, known.making = known.making, None
        try:
            made = making.result()
        except InputError as error:
            known.note = str(error)
            known.pause = self.remake_frames if self.models.slow else 0
            return
        except Exception as error:  # this frame is not to blame for what a job made of another
            log.exception("a tool model could not be made")
            known.note = f"no model could be made: {type(error).__name__}: {error}"
            known.pause = self.remake_frames
            return
        if made is None:  # the present one is still the best
            return
        known.model, known.aligner = made, make_aligner(self.alignment, made)
        known.placement, known.note = None, ""
        known.count += 1

    def _make(self, observation: ToolObservation) -> ToolModel:
        """On the thread of the workshop. A slow source runs networks, beside frames on one core."""
        beside = self.models.slow and self.in_background
        with one_torch_thread() if beside else nullcontext():
            return self.models.model(observation)

    def _to_compare(self, known: Known, observation: ToolObservation) -> bool:
        """Whether other models should be tried, of sources that have several: ever more rarely.

        Not where another tool hides more of it than when it was chosen: a jaw would be cut off.
        """
        if not hasattr(self.models, "better") or known.placement is None:
            return False
        due = COMPARED_AFTER[min(known.compared, len(COMPARED_AFTER) - 1)]
        if not known.placement.valid or known.age < due:
            return False
        clutter = crowded(observation)
        if clutter > known.clutter + CROWD:
            return False
        known.clutter = clutter
        return True

    def _better(
        self, observation: ToolObservation, model: ToolModel, placement: ToolPlacement
    ) -> ToolModel | None:
        """On the thread of the workshop."""
        with one_torch_thread() if self.in_background else nullcontext():
            return self.models.better(observation, model, placement)


def crowded(observation: ToolObservation) -> float:
    """Share of the close surroundings of a mask that other tools take."""
    if observation.occluder is None:
        return 0.0
    side = max(3, round(BESIDE * observation.camera.width / 320))
    grown = cv2.dilate(observation.mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    around = grown & ~observation.mask
    return np.count_nonzero(around & observation.occluder) / max(1, np.count_nonzero(around))
