"""Regions in which several instruments cross are cut where their predictions meet."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.regions import Region


def split_regions(
    regions: list[Region], predictions: list[Region], config: TrackerConfig
) -> list[Region]:
    """The regions, those that several visible tools claim cut in pieces.

    Args:
        regions: of the mask now.
        predictions: where each known tool should be.
        config: settings.
    """
    visible = [
        prediction
        for prediction in predictions
        if prediction.area and not _hidden(prediction, predictions, config)
    ]
    pieces = []
    for region in regions:
        claims = [tool for tool in visible if _claims(tool, region, config)]
        pieces += _cut(region, claims) if len(claims) > 1 else [region]
    return pieces


def _hidden(tool: Region, others: list[Region], config: TrackerConfig) -> bool:
    """Whether it lies behind a larger one almost completely."""
    limit = config.hidden * tool.area
    return any(
        other is not tool
        and other.area > tool.area
        and np.count_nonzero(other.mask & tool.mask) > limit
        for other in others
    )


def _claims(tool: Region, region: Region, config: TrackerConfig) -> bool:
    return np.count_nonzero(tool.mask & region.mask) > config.claim * tool.area


def _cut(region: Region, tools: list[Region]) -> list[Region]:
    """Each pixel to the tool in whose prediction it lies deepest, or that is nearest."""
    nearest = np.argmin([_signed_distance(tool.mask) for tool in tools], axis=0)
    pieces = [Region(region.mask & (nearest == i), region.border) for i in range(len(tools))]
    return [piece for piece in pieces if piece.area]


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """(h, w) px to the boundary, negative inside."""
    inside = mask.astype(np.uint8)
    outward = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    return outward - cv2.distanceTransform(inside, cv2.DIST_L2, 3)
