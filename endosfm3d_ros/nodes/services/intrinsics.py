"""`~/set_intrinsics_mode`: how a given calibration is used, changed between two frames."""

from __future__ import annotations

from endosfm3d_ros.nodes.services.between_frames import BetweenFrames
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.srv import SetIntrinsicsMode


def offer_intrinsics_service(services: BetweenFrames) -> None:
    """The estimator is touched between frames only."""
    services.add(
        SetIntrinsicsMode,
        "~/set_intrinsics_mode",
        lambda request, between: between(lambda pipeline: set_mode(pipeline, request.mode)),
    )


def set_mode(pipeline: Pipeline, mode: str) -> str:
    """What the mode is now.

    Raises:
        ConfigurationError: an unknown mode.
    """
    pipeline.sfm.set_intrinsics_mode(mode)
    return f"intrinsics mode is '{mode}'"
