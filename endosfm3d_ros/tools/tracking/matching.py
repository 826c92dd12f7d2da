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
    pairs = zip(*linear_sum_assignment(table, maximize=True))
    return [(int(i), int(j), table[i, j]) for i, j in pairs if table[i, j] > config.min_quality]


def quality(track: Track, region: Region, stamp: int, config: TrackerConfig) -> float:
    """0..1: overlap and nearness of a region to where a tool should be.

    The longer it was not seen, the farther it may be. A shaft does not jump along the image
    border, so a region that comes in elsewhere is worth half.
    """
    prediction = track.predicted(stamp)
    if not prediction.area:
        return 0.0
    width = region.mask.shape[1]
    common = np.count_nonzero(prediction.mask & region.mask)
    overlap = common / (prediction.area + region.area - common)
    unseen = (stamp - track.seen) * 1e-9 if not track.hits else 0.0
    reach = config.reach * width * (1 + config.reach_growth * unseen)
    distance = np.linalg.norm(prediction.centre - region.centre) / reach
    value = config.overlap_share * overlap + (1 - config.overlap_share) * np.exp(-(distance**2))
    moved = (
        track.entry is not None
        and region.entry is not None
        and np.linalg.norm(track.entry - region.entry) > config.reentry * width
    )
    return float(value / 2 if moved else value)
