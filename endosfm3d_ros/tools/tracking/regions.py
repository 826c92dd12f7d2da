"""Connected parts of a mask, joined to what may be one instrument each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from endosfm3d_ros.tools.tracking.config import TrackerConfig


@dataclass(frozen=True)
class Region:
    """A part of the mask at working size."""

    mask: np.ndarray  # (h, w) bool
    border: int  # px from the image border that count as touching it

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def centre(self) -> np.ndarray:
        """(2,) mean pixel, x y."""
        rows, columns = np.nonzero(self.mask)
        return np.array([columns.mean(), rows.mean()])

    @cached_property
    def entry(self) -> np.ndarray | None:
        """(2,) mean pixel of what is at the image border, x y; None where nothing is."""
        at_border = self.mask.copy()
        at_border[self.border : -self.border, self.border : -self.border] = False
        rows, columns = np.nonzero(at_border)
        return np.array([columns.mean(), rows.mean()]) if len(rows) else None

    def with_part(self, other: Region) -> Region:
        """Both together."""
        return Region(self.mask | other.mask, self.border)

    def near(self, distance: int) -> np.ndarray:
        """(h, w) bool: nearer than half of that many pixels, by rows and columns."""
        kernel = np.ones((distance, distance), np.uint8)
        return cv2.dilate(self.mask.astype(np.uint8), kernel) > 0


def regions_of_mask(mask: np.ndarray, config: TrackerConfig) -> list[Region]:
    """What may be one tool each, the largest first.

    Parts with small gaps are one region, except that parts which come in from the border at
    different places are different tools; the others belong to the nearest of these.
    """
    parts = _parts(mask, config)
    kernel = np.ones((config.join, config.join), np.uint8)
    _, groups = cv2.connectedComponents(cv2.dilate(mask.astype(np.uint8), kernel))
    by_group: dict[int, list[Region]] = {}
    for part in parts:
        row, column = np.argwhere(part.mask)[0]
        by_group.setdefault(int(groups[row, column]), []).append(part)
    regions = [region for group in by_group.values() for region in _joined(group, config)]
    return sorted(regions, key=lambda region: -region.area)


def regions_of_labels(labels: np.ndarray, config: TrackerConfig) -> list[Region]:
    """One region per label, the largest first."""
    counts = np.bincount(labels.ravel(), minlength=256)
    smallest = config.part_area * labels.size
    chosen = [value for value in np.argsort(-counts) if value and counts[value] > smallest]
    return [Region(labels == value, config.border) for value in chosen]


def _parts(mask: np.ndarray, config: TrackerConfig) -> list[Region]:
    """Connected components that are not dust; at most four times as many as tools, the largest."""
    _, labels, table, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = table[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    largest = np.argsort(-areas)[: 4 * config.max_candidates]
    smallest = config.part_area * mask.size
    return [Region(labels == i, config.border) for i in largest if areas[i] > smallest]


def _joined(parts: list[Region], config: TrackerConfig) -> list[Region]:
    """The parts of one group as one region per place of entry."""
    anchors: list[Region] = []
    for part in (part for part in parts if part.entry is not None):
        index = _nearest(part.entry, [anchor.entry for anchor in anchors])
        close = config.same_entry * part.mask.shape[1]
        if index is None or np.linalg.norm(part.entry - anchors[index].entry) > close:
            anchors.append(part)
        else:
            anchors[index] = anchors[index].with_part(part)
    for part in (part for part in parts if part.entry is None):
        if not anchors:
            anchors.append(part)
            continue
        index = _nearest(part.centre, [_closest_pixel(anchor, part.centre) for anchor in anchors])
        anchors[index] = anchors[index].with_part(part)
    return anchors


def _nearest(point: np.ndarray, others: list[np.ndarray]) -> int | None:
    if not others:
        return None
    return int(np.argmin([np.linalg.norm(point - other) for other in others]))


def _closest_pixel(region: Region, point: np.ndarray) -> np.ndarray:
    pixels = np.argwhere(region.mask)[:, ::-1]
    return pixels[np.argmin(np.linalg.norm(pixels - point, axis=1))]
