"""Masks as they come are brought to the size of the image, and refused where they cannot be."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

MAX_SHARE = (
    0.85  # of the image; four instruments cover less than 60 %, an inverted mask covers more
)

LEAST_COLOUR = 8.0  # of 255, between the channels of a pixel


def as_labels(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 labels of an image of that size, 0 = tissue.

    Args:
        values: (h, w) bool or integers; of another size they are resized by nearest neighbour.
        size: (W, H) of the image.

    Raises:
        InputError: another shape or type, no pixels, or labels beyond 0 to 255.
    """
    if values.ndim != 2 or not values.size:
        raise InputError(f"tool mask of shape {list(values.shape)}: (H, W) with pixels is accepted")
    if values.dtype != bool and not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"tool mask of {values.dtype}: bool and integers are accepted")
    if values.dtype not in (np.dtype(bool), np.dtype(np.uint8)):
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 255:
            raise InputError(f"tool mask with labels {low} to {high}: 0 to 255 are accepted")
    labels = np.ascontiguousarray(values, np.uint8)
    if labels.shape[::-1] == size:
        return labels
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def implausible(mask: np.ndarray) -> str:
    """Why (H, W) bool cannot be a mask of tools; empty where it can."""
    share = np.count_nonzero(mask) / mask.size
    if share > MAX_SHARE:
        return f"mask covers {share:.0%} of the image, at most {MAX_SHARE:.0%} is plausible"
    return ""


def colourless(image: np.ndarray) -> str:
    """Why an (H, W, 3) uint8 image has no colours to go by; empty where it has.

    Compression leaves grey pictures a spread of a few levels; tissue has 40 and more.
    """
    pixels = image[::4, ::4].astype(np.int16)
    spread = float(np.percentile(pixels.max(axis=2) - pixels.min(axis=2), 95))
    return "" if spread >= LEAST_COLOUR else f"image is grey: its colours differ by {spread:.0f}"


def unlit(image: np.ndarray) -> str:
    """Why an (H, W, 3) uint8 image cannot be segmented; empty where it can."""
    brightest = int(image.max()) if image.size else 0
    return "" if brightest >= 16 else f"image is black: its brightest value is {brightest}"
