"""The grey images that points are followed in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.sfm.features.illumination import evened


@dataclass(frozen=True)
class TrackingImage:
    """One image twice; both (H, W) uint8."""

    raw: np.ndarray  # as seen: its broad light and dark guide large steps
    even: np.ndarray  # without the light, for precise places

    @classmethod
    def of(cls, image: np.ndarray, max_width: int) -> TrackingImage:
        """Of an RGB image (H, W, 3) uint8, at most `max_width` wide."""
        raw = fitted(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), max_width)
        return cls(raw, evened(raw))


def fitted_size(image: np.ndarray, max_width: int) -> tuple[int, int]:
    """(width, height) of an image made at most `max_width` wide."""
    height, width = image.shape[:2]
    return (width, height) if width <= max_width else (max_width, round(height * max_width / width))


def fitted(image: np.ndarray, max_width: int) -> np.ndarray:
    """The image at that size; itself where it is not wider."""
    size = fitted_size(image, max_width)
    if image.shape[1::-1] == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
