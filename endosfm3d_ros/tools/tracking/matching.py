"""Which region is which tool: the assignment with the best total quality."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.regions import Region


def match(
    predictions: list[Region],
    entries: list[np.ndarray | None],
    regions: list[Region],
    config: TrackerConfig,
) -> list[tuple[int, int, float]]:
    """(prediction, region, quality 0..1) of each pair, good ones only.

    Args:
        predictions: where each known tool should be.
        entries: (2,) px where each was last seen to come in from the border; None unknown.
        regions: of the mask now.
        config: settings.
    """
    if not predictions or not regions:
        return []
    table = np.array(
        [
            [quality(prediction, entry, region, config) for region in regions]
            for prediction, entry in zip(predictions, entries)
        ]
    )
    pairs = zip(*linear_sum_assignment(table, maximize=True))
    return [(int(i), int(j), table[i, j]) for i, j in pairs if table[i, j] > config.min_quality]


def quality(
    prediction: Region, entry: np.ndarray | None, region: Region, config: TrackerConfig
) -> float:
    """0..1: overlap and nearness of a region to where a tool should be.

    A shaft does not jump along the image border, so a region that comes in elsewhere is worth
    half.
    """
    if not prediction.area:
        return 0.0
    width = region.mask.shape[1]
    common = np.count_nonzero(prediction.mask & region.mask)
    overlap = common / (prediction.area + region.area - common)
    distance = np.linalg.norm(prediction.centre - region.centre) / (config.reach * width)
    value = config.overlap_share * overlap + (1 - config.overlap_share) * np.exp(-(distance**2))
    moved = (
        entry is not None
        and region.entry is not None
        and np.linalg.norm(entry - region.entry) > config.reentry * width
    )
    return float(value / 2 if moved else value)
