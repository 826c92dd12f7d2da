"""From the working size of the tracker back to that of the image."""

from __future__ import annotations

import math

import cv2
import numpy as np

from endosfm3d_ros.tools.tracking.config import TrackerConfig

MARGIN_WIDTH = 1280  # px, at which EndoLRMGS dilates its masks


def ids_at_full_size(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids with the outlines of the mask.

    Args:
        ids: (h, w) uint8 at working size.
        mask: (H, W) bool at full size.
    """
    grown = cv2.dilate(ids, np.ones((5, 5), np.uint8))  # over the steps of the small outline
    spread = np.where(ids > 0, ids, grown)
    large = cv2.resize(spread, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return large * mask


def dilated_for_mapping(
    mask: np.ndarray, shape: tuple[int, int], config: TrackerConfig
) -> np.ndarray:
    """(H, W) bool of that shape: the (h, w) bool mask with EndoLRMGS's margin around it."""
    side = config.mapping_margin * mask.shape[1] / MARGIN_WIDTH
    side = 2 * math.ceil((side - 1) / 2) + 1
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    return cv2.resize(grown, shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def bounding_boxes(ids: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """x, y, width, height in px of each id of an (H, W) uint8 image."""
    boxes = {}
    for value in np.flatnonzero(cv2.calcHist([ids], [0], None, [256], [0, 256])[1:, 0]) + 1:
        x, y, width, height = cv2.boundingRect((ids == value).astype(np.uint8))
        boxes[int(value)] = (x, y, width, height)
    return boxes
