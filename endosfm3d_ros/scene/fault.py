"""Why no distance in a scene can be believed; imports neither map nor instruments."""

from __future__ import annotations

import math

from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState


def scene_fault(update: SceneUpdate) -> str:
    """Why no distance of this scene can be believed; empty where it can."""
    if update.depth.scale == ScaleSource.RELATIVE:
        return "the scale is relative"
    if update.tissue is None:
        return "no tissue map is kept"
    if TrackingState.LOST in (update.pose.state, update.tissue.state):
        return "tracking is lost"
    if not math.isfinite(scale_sigma(update)):
        return "the doubt about the scale is not known"
    return ""


def scale_sigma(update: SceneUpdate) -> float:
    """Standard deviation of the logarithm of the scale; 0 where metres are given, not measured."""
    return update.scale.sigma if update.scale is not None else 0.0
