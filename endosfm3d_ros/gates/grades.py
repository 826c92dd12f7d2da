"""What depth, pose, map, tools and clearance are worth, each with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from endosfm3d_ros.scene.fault import scene_fault
from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState

PARTS = ("depth", "pose", "map", "tools", "clearance")


class Worth(IntEnum):
    """As in endosfm3d_ros/msg/Grade."""

    GOOD = 0
    DEGRADED = 1
    INVALID = 2


@dataclass(frozen=True)
class Grade:
    """Of one part."""

    part: str
    worth: Worth = Worth.GOOD
    reason: str = ""


def all_invalid(reason: str) -> tuple[Grade, ...]:
    """Nothing may be used."""
    return tuple(Grade(part, Worth.INVALID, reason) for part in PARTS)


def grades_of(update: SceneUpdate, collapsed: str = "", stale_mask: str = "") -> tuple[Grade, ...]:
    """What one update is worth, apart from its age.

    Args:
        update: of one image.
        collapsed: why its depth is doubted; empty where it is not.
        stale_mask: why its masks are not of this image; empty where they are.
    """
    tools = _tools(update, stale_mask)
    found = {
        "depth": _depth(update, collapsed),
        "pose": _pose(update),
        "map": _map(update),
        "tools": tools,
    }
    fault = collapsed or scene_fault(update)
    if not fault and tools[0] == Worth.INVALID:
        fault = tools[1]
    if not fault and not update.tools.tools:
        fault = "no instrument is seen"
    worth, reason = (Worth.INVALID, fault) if fault else tools
    found["clearance"] = worth, reason
    return tuple(Grade(part, *found[part]) for part in PARTS)


def _depth(update: SceneUpdate, collapsed: str) -> tuple[Worth, str]:
    if collapsed:
        return Worth.INVALID, collapsed
    if not update.depth.coverage:
        return Worth.INVALID, "no pixel has depth"
    if update.depth.scale == ScaleSource.RELATIVE:
        return Worth.DEGRADED, "the scale is relative: these are no metres"
    return Worth.GOOD, ""


def _pose(update: SceneUpdate) -> tuple[Worth, str]:
    if update.pose.state == TrackingState.LOST:
        return Worth.INVALID, "tracking is lost: the last believed pose is held"
    if update.pose.state == TrackingState.INITIALISING:
        return Worth.DEGRADED, "tracking begins"
    if update.depth.scale == ScaleSource.RELATIVE:
        return Worth.DEGRADED, "the scale is relative: these are no metres"
    return Worth.GOOD, ""


def _map(update: SceneUpdate) -> tuple[Worth, str]:
    if update.tissue is None:
        return Worth.INVALID, "no tissue map is kept"
    if update.tissue.state == TrackingState.LOST:
        return Worth.INVALID, "the map is held as it was"
    if update.depth.scale == ScaleSource.RELATIVE:
        return Worth.DEGRADED, "the scale is relative: these are no metres"
    return Worth.GOOD, ""


def _tools(update: SceneUpdate, stale_mask: str) -> tuple[Worth, str]:
    view = update.tools
    if view is None:
        return Worth.INVALID, "instruments are not looked for"
    if stale_mask:
        return Worth.INVALID, stale_mask
    if not view.tracks.usable:
        return Worth.INVALID, f"masks cannot be used: {view.tracks.reason}"
    for tool in view.tools:
        placement = tool.placement
        if placement is None or not placement.valid:
            return Worth.DEGRADED, f"instrument {tool.track.id} has no pose"
        if not placement.trusted:
            return Worth.DEGRADED, f"instrument {tool.track.id}: {placement.reason}"
    return Worth.GOOD, ""
