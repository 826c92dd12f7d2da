"""When a placement is not to be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.tools.opjpo.scale import Scale
from endosfm3d_ros.tools.types import ToolObservation


@dataclass(frozen=True)
class TrustConfig:
    """Limits beyond which a placement says that it is not trusted."""

    min_area: int = 64  # px of the mask
    max_share: float = 0.8  # of the image covered by the mask
    sliver: float = 0.06  # of the image's smaller side: a mask that reaches no further in
    min_iou: float = 0.5
    end_on: float = 0.35  # rad between a long tool and the line of sight
    long: float = 2.0  # length over width from which on a tool is long
    max_distance_deviation: float = 0.25  # 1 sigma over the distance
    max_gap: float = 0.15  # of the model behind or before the depth measured on the tool
    max_overreach: float = 1.1  # of the scale over the limit that tissue sets


def unusable(observation: ToolObservation, config: TrustConfig) -> str:
    """Why no pose can be found from a mask, or nothing."""
    area = observation.area
    if area < config.min_area:
        return f"mask of {area} pixels, at least {config.min_area} are needed"
    share = area / observation.mask.size
    if share > config.max_share:
        return f"mask covers {share:.0%} of the image, at most {config.max_share:.0%} is accepted"
    return ""


def doubts(
    observation: ToolObservation,
    iou: float,
    axis: np.ndarray,
    position: np.ndarray,
    distance_deviation: float,
    scale: Scale,
    config: TrustConfig,
) -> str:
    """The first reason not to trust a pose, or nothing.

    Args:
        observation: that it was fitted to.
        iou: of silhouette and mask.
        axis: (3,) long axis of the tool in the camera frame, zero for a compact one.
        position: (3,) of the tool.
        distance_deviation: 1 sigma over the distance.
        scale: of the model.
        config: the limits.
    """
    if iou < config.min_iou:
        return f"silhouette and mask overlap by {iou:.2f}, at least {config.min_iou} is needed"
    if reach(observation) < config.sliver * min(observation.mask.shape):
        return "only a sliver at the image border is left of the tool"
    towards = abs(axis @ position) / np.linalg.norm(position)
    if towards > np.cos(config.end_on):
        return "the tool is seen end on, so its length says nothing about its direction"
    if distance_deviation > config.max_distance_deviation:
        return f"the distance is known to {distance_deviation:.0%} only"
    if scale.value > config.max_overreach * scale.limit:
        return f"the tool would be {scale.value / scale.limit - 1:.0%} behind the tissue"
    return ""


def contradiction(gap: float, config: TrustConfig) -> str:
    """Why depth measured on the tool speaks against a pose, or nothing.

    Args:
        gap: of the model behind that depth, over the depth; NaN if unknown.
        config: the limits.
    """
    if not abs(gap) > config.max_gap:
        return ""
    side = "behind" if gap > 0 else "before"
    return f"the tool would be {abs(gap):.0%} {side} the depth measured on it"


def reach(observation: ToolObservation) -> float:
    """Pixels that a mask reaches into the image from its border; infinite if it touches none."""
    left, top, width, height = observation.box
    columns, rows = observation.camera.size
    depths = [
        depth
        for touches, depth in (
            (left == 0, left + width),
            (top == 0, top + height),
            (left + width == columns, columns - left),
            (top + height == rows, rows - top),
        )
        if touches
    ]
    return float(min(depths, default=np.inf))


def long_axis(vertices: np.ndarray, ratio: float) -> np.ndarray:
    """(3,) unit direction of the largest spread of (V, 3) vertices; zero if not `ratio` times the
    next."""
    spread, axes = np.linalg.eigh(np.cov(vertices.T))
    return axes[:, 2] if spread[2] > ratio**2 * spread[1] else np.zeros(3)
