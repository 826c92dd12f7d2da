"""Which region is which tool: the assignment with the best total quality."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.regions import Region
from endosfm3d_ros.tools.tracking.track import Track


def match(
    tracks: list[Track],
    regions: list[Region],
    stamp: int,
    config: TrackerConfig,
) -> list[tuple[int, int, float]]:
    """(track, region, quality 0..1) by index of each pair, good ones only.

    Args:
        tracks: that look for their region.
        regions: of the mask now.
        stamp: ns, of the mask.
        config: settings.
    """
    if not tracks or not regions:
        return []
    table = np.array(
        [[quality(track, region, stamp, config) for region in regions] for track in tracks]
    )
    least = [config.min_quality if track.confirmed else config.min_new_quality for track in tracks]
    pairs = zip(*linear_sum_assignment(table, maximize=True))
    return [(int(i), int(j), table[i, j]) for i, j in pairs if table[i, j] > least[i]]


def quality(track: Track, region: Region, stamp: int, config: TrackerConfig) -> float:
    """0..1: overlap and nearness of a region to where a tool should be.

    The longer it was not seen, the farther it may be, but it comes through the same port.
    """
    prediction = track.predicted(stamp)
    if not prediction.area:
        return 0.0
    common = np.count_nonzero(prediction.mask & region.mask)
    overlap = common / (prediction.area + region.area - common)
    unseen = 0.0 if track.visible else (stamp - track.seen) * 1e-9
    if unseen and _elsewhere(track, region, config):
        return 0.0
    reach = config.reach * region.mask.shape[1] * (1 + config.reach_growth * unseen)
    distance = np.linalg.norm(prediction.centre - region.centre)
    if unseen:  # it may have gone on, or turned back
        distance = min(distance, np.linalg.norm(track.region.centre - region.centre))
    nearness = np.exp(-((distance / reach) ** 2))
    return float(config.overlap_share * overlap + (1 - config.overlap_share) * nearness)


def _elsewhere(track: Track, region: Region, config: TrackerConfig) -> bool:
    """Whether both enter from the border, at places too far apart for one tool."""
    if track.entry is None or region.entry is None:
        return False
    distance = np.linalg.norm(track.entry - region.entry)
    return bool(distance > config.reentry * region.mask.shape[1])
