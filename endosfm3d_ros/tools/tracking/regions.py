"""Connected parts of a mask, joined to what may be one instrument each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.spatial import cKDTree

from endosfm3d_ros.tools.tracking.axis import Axis
from endosfm3d_ros.tools.tracking.config import TrackerConfig


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the mask at working size."""

    mask: np.ndarray  # (h, w) bool
    border: int  # px from the image border that count as touching it
    fitted: Axis | None = None  # where others touch it
    owner: int | None = None  # position of the known tool whose part of a larger region it is

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def axis(self) -> Axis:
        """The strip that it is: as fitted, else by its own shape."""
        return self.fitted or Axis.of(self.mask, self.entry)

    @cached_property
    def centre(self) -> np.ndarray:
        """(2,) mean pixel, x y."""
        moments = cv2.moments(self.mask.astype(np.uint8), binaryImage=True)
        return np.array([moments["m10"], moments["m01"]]) / moments["m00"]

    @cached_property
    def border_pixels(self) -> np.ndarray:
        """(N, 2) its pixels at the image border, x y."""
        at_border = self.mask.astype(np.uint8)
        at_border[self.border : -self.border, self.border : -self.border] = 0
        pixels = cv2.findNonZero(at_border)
        return np.empty((0, 2), np.int32) if pixels is None else pixels[:, 0]

    @cached_property
    def entry(self) -> np.ndarray | None:
        """(2,) mean of them; None where there are none."""
        pixels = self.border_pixels
        return pixels.mean(axis=0) if len(pixels) else None

    def entries(self, gap: float) -> list[np.ndarray]:
        """(2,) x y each: middles of where it comes in from the border, more than `gap` px apart."""
        pixels = self.border_pixels
        if not len(pixels):
            return []
        free = np.ones(self.mask.shape, np.uint8)
        free[pixels[:, 1], pixels[:, 0]] = 0
        far = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_5)
        # discs of half the gap around all of them: two that touch are one place
        count, places = cv2.connectedComponents((far <= gap / 2).astype(np.uint8))
        place = places[pixels[:, 1], pixels[:, 0]]
        return [pixels[place == k].mean(axis=0) for k in range(1, count)]

    def enters_beside(self, other: Region, gap: float) -> bool:
        """Whether both come in from the border at most `gap` px apart."""
        if self.entry is None or other.entry is None:
            return False
        distances, _ = cKDTree(self.border_pixels).query(other.border_pixels)
        return bool(distances.min() <= gap)

    def with_part(self, other: Region) -> Region:
        """Both together."""
        return Region(self.mask | other.mask, self.border, self.fitted, self.owner)

    def near(self, distance: int) -> np.ndarray:
        """(h, w) bool: at most that many px away by rows and columns."""
        kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
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
    gap = config.same_entry * parts[0].mask.shape[1]
    anchors: list[Region] = []
    for part in (part for part in parts if part.entry is not None):
        beside = [anchor for anchor in anchors if anchor.enters_beside(part, gap)]
        anchors = [anchor for anchor in anchors if anchor not in beside]
        for anchor in beside:
            part = part.with_part(anchor)  # noqa: PLW2901 - a part may join two others
        anchors.append(part)
    for part in (part for part in parts if part.entry is None):
        distances = [_distance(anchor, part.centre) for anchor in anchors]
        if distances:
            index = int(np.argmin(distances))
            anchors[index] = anchors[index].with_part(part)
        else:
            anchors.append(part)
    return anchors


def _distance(region: Region, point: np.ndarray) -> float:
    """Pixels from a point to the nearest pixel of a region."""
    pixels = np.argwhere(region.mask)[:, ::-1]
    return float(np.linalg.norm(pixels - point, axis=1).min())
