"""Orthogonal-perspective joint projection optimisation: a model's scale and pose from a mask.

aligner = make_aligner("joint", model)
placement = aligner.place(observation, previous_placement)
"""

from typing import Protocol

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.articulated.model import JointedModel
from endosfm3d_ros.tools.opjpo.joint import JointAligner
from endosfm3d_ros.tools.opjpo.jointed_aligner import JointedAligner
from endosfm3d_ros.tools.opjpo.published import BirthAligner, PaperAligner
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement

ALIGNERS = {"joint": JointAligner, "paper": PaperAligner, "none": BirthAligner}


class Aligner(Protocol):
    """Places one model in one image after another."""

    def place(
        self, observation: ToolObservation, previous: ToolPlacement | None = None
    ) -> ToolPlacement:
        """Where the model is; unusable input gives a placement that says so."""


def make_aligner(mode: str, model: ToolModel) -> Aligner:
    """The aligner of that mode for a model.

    Raises:
        ConfigurationError: an unknown mode, or a model that the mode cannot place.
    """
    if mode not in ALIGNERS:
        raise ConfigurationError(f"tool alignment '{mode}': accepted are {', '.join(ALIGNERS)}")
    if isinstance(model, JointedModel):
        return JointedAligner(model)
    return ALIGNERS[mode](model)


__all__ = ["ALIGNERS", "Aligner", "BirthAligner", "JointAligner", "PaperAligner", "make_aligner"]
