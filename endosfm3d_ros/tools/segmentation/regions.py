"""Regions without tissue colour, and what tells metal from sheen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.tools.segmentation.redness import STEP

MARGIN = 8  # px around a region that its outer ring may need


@dataclass(frozen=True)
class Region:
    """A connected region at working size."""

    label: int
    area: int  # px
    at_border: bool
    step: float  # redness just outside minus just inside: metal ends sharply, sheen fades
    held: float  # share of it that was tool in the last frame
    glare: float  # share of it that is nearly saturated


def disc(diameter: int) -> np.ndarray:
    """Round structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


INNER, SKIN, OUTER = disc(9), disc(5), disc(13)  # rings 4 px inside, 2 to 6 px outside


def find_regions(
    candidates: np.ndarray,
    codes: np.ndarray,
    glare: np.ndarray,
    before: np.ndarray | None,
    min_area: float,
    border: int,
) -> tuple[np.ndarray, list[Region]]:
    """(H, W) int32 labels of the candidates' components, and those that are large enough.

    Args:
        candidates: (H, W) uint8, 1 where the colour is not that of tissue.
        codes: (H, W) uint8 redness.
        glare: (H, W) uint8, 1 where the image is nearly saturated.
        before: (H, W) uint8 mask of the last frame, 0 and 1; None without one.
        min_area: px.
        border: px from the image border that still count as touching it.
    """
    _, labels, table, _ = cv2.connectedComponentsWithStats(candidates, connectivity=4)
    height, width = labels.shape
    regions = []
    for label in np.flatnonzero(table[:, cv2.CC_STAT_AREA] >= min_area):
        if label == 0:
            continue
        x, y, w, h, area = (int(value) for value in table[label])
        at_border = x <= border or y <= border
        at_border |= x + w >= width - border or y + h >= height - border
        rows, columns = (slice(max(a - MARGIN, 0), a + n + MARGIN) for a, n in ((y, h), (x, w)))
        inside = (labels[rows, columns] == label).astype(np.uint8)
        held = 0.0 if before is None else cv2.mean(before[rows, columns], inside)[0]
        bright = cv2.mean(glare[rows, columns], inside)[0]
        step = _step(inside, codes[rows, columns])
        regions.append(Region(int(label), area, at_border, step, held, bright))
    return labels, regions


def _step(inside: np.ndarray, codes: np.ndarray) -> float:
    """Mean redness of the outer ring minus that of the inner one."""
    outer = cv2.dilate(inside, OUTER) - cv2.dilate(inside, SKIN)
    inner = inside - cv2.erode(inside, INNER, borderValue=1)
    return STEP * (cv2.mean(codes, outer)[0] - cv2.mean(codes, inner)[0])
