"""The grey images that points are followed in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.sfm.contrast import evened


@dataclass(frozen=True)
class TrackingImage:
    """One image twice; both (H, W) uint8."""

    raw: np.ndarray  # as seen: its broad light and dark guide large steps
    even: np.ndarray  # without the light, for precise places

    @classmethod
    def of(cls, image: np.ndarray, max_width: int) -> TrackingImage:
        """Of an RGB image (H, W, 3) uint8, at most `max_width` wide."""
        raw = _small_grey(image, max_width)
        return cls(raw, evened(raw))


def _small_grey(image: np.ndarray, max_width: int) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= max_width:
        return grey
    size = max_width, round(height * max_width / width)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
