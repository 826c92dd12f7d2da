"""Regions in which several instruments touch are cut between their axes.

Where instruments touch, the mask says nothing about who is where, but together they must cover it:
the strips of all tools that claim a region, and of those that come in where no known tool does,
are fitted to it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from endosfm3d_ros.tools.tracking.axis import Axis
from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.regions import Region
from endosfm3d_ros.tools.tracking.strips import fitted, uncovered


def split_regions(
    regions: list[Region], tools: Sequence[tuple[Region, Axis]], config: TrackerConfig
) -> list[Region]:
    """The regions, those of several tools cut in pieces; a piece of a known tool names its owner.

    Args:
        regions: of the mask now.
        tools: where each known tool should be.
        config: settings.
    """
    predictions = [prediction for prediction, _ in tools]
    visible = [
        k
        for k, prediction in enumerate(predictions)
        if prediction.area and not _hidden(prediction, predictions, config)
    ]
    pieces = []
    for region in regions:
        claims = {k: tools[k][1] for k in visible if _claims(predictions[k], region, config)}
        pieces += _cut(region, claims, config)
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


def _cut(region: Region, claims: dict[int, Axis], config: TrackerConfig) -> list[Region]:
    """Each pixel to the strip in which it lies deepest, or that is nearest."""
    owners: list[int | None] = list(claims)
    axes = _with_newcomers(region, list(claims.values()), config)
    if len(axes) < 2:
        return [region]
    owners += [None] * (len(axes) - len(owners))
    parts = _parted(region, [axis.distance for axis in axes])
    pieces = [
        Region(part, region.border, axis, owner) for part, owner, axis in zip(parts, owners, axes)
    ]
    return [piece for piece in pieces if piece.area]


def _parted(
    region: Region, distances: Sequence[Callable[[np.ndarray, np.ndarray], np.ndarray]]
) -> np.ndarray:
    """(K, h, w) bool: the pixels of a region at which each of K distances is the smallest."""
    row, column = np.nonzero(region.mask)
    x, y = column.astype(np.float32), row.astype(np.float32)
    parts = np.zeros((len(distances), *region.mask.shape), bool)
    parts[np.argmin([distance(x, y) for distance in distances], axis=0), row, column] = True
    return parts


def _with_newcomers(region: Region, known: list[Axis], config: TrackerConfig) -> list[Axis]:
    """Axes fitted to a region: those known, then one for each place of entry that none explains.

    Unknown ones count only where they explain much of what the others leave over; a shaft that
    crosses the whole image touches the border twice.
    """
    places = region.entries(config.same_entry * region.mask.shape[1])
    alone = len(known) < 2
    if alone and len(places) < 2:
        return known
    before = known if known else [region.axis]
    parts = _parted(region, [lambda x, y, at=at: np.hypot(x - at[0], y - at[1]) for at in places])
    new = [
        Axis.of(part, centre)
        for centre, part in zip(places, parts)
        if alone or all(axis.distance(*centre) > config.explained for axis in known)
    ]
    if alone and new:  # nothing is known of who is where
        new = sorted(new, key=lambda axis: min(k.distance(*axis.base) for k in before))
        new = new[len(known) :]
    first = fitted(before, region.mask, config)
    if not new:
        return first
    second = fitted([*known, *new], region.mask, config)
    left = [uncovered(axes, region.mask, config) for axes in (first, second)]
    if left[0] > config.shaped and left[1] < config.newcomer_gain * left[0]:
        return second
    return known if alone else first
