"""Images without the light: the lamp of an endoscope travels with the camera.

Brightness that slides over the tissue drags corners along with it, a little in every frame and
always the same way; what wet tissue mirrors slides even faster. What is left after the local mean
and contrast are taken out, and reflections left out, is the tissue.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 0.04  # of the width: the square over which light is taken to be even
NOISE = 4.0  # grey levels; contrast below it is not raised
CONTRAST = 40.0  # grey levels per standard deviation
MIDDLE = 128
LEAST_SHARE = 0.02  # of a square that counts

SURROUNDINGS = 0.08  # of the width
PALER = 0.05  # of the red: what is whiter than its surroundings by more is a reflection ...
LEAST_MORE = 4.0  # ... and by more grey levels, which sensor noise does not reach


def evened(grey: np.ndarray, dull: np.ndarray | None = None) -> np.ndarray:
    """(H, W) uint8 with the same mean and contrast everywhere.

    Args:
        grey: (H, W) uint8.
        dull: (H, W) bool, what counts; the rest becomes the mean. All counts if not given.
    """
    side = 2 * round(SIDE * grey.shape[1] / 2) + 1
    square = (side, side)
    if dull is None:
        mean = cv2.boxFilter(grey, cv2.CV_32F, square)
        mean_square = cv2.sqrBoxFilter(grey, cv2.CV_32F, square)
    else:
        counts = dull.astype(np.float32)
        grey = cv2.multiply(grey, counts, dtype=cv2.CV_32F)
        share = cv2.max(cv2.boxFilter(counts, cv2.CV_32F, square), LEAST_SHARE)
        mean = cv2.divide(cv2.boxFilter(grey, cv2.CV_32F, square), share)
        mean_square = cv2.divide(cv2.sqrBoxFilter(grey, cv2.CV_32F, square), share)
    variance = cv2.max(cv2.subtract(mean_square, cv2.multiply(mean, mean)), 0)
    deviation = cv2.add(cv2.sqrt(variance), NOISE)
    above = cv2.subtract(grey, mean, dtype=cv2.CV_32F)
    if dull is not None:
        above = cv2.multiply(above, counts)
    return cv2.add(cv2.divide(above, deviation, scale=CONTRAST), MIDDLE, dtype=cv2.CV_8U)


def reflections(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: where wet tissue (H, W, 3) mirrors the lamp.

    Tissue is red and the lamp is white: what is mirrored adds as much to green and blue as to red
    (Shafer 1985). So a place paler than its surroundings is a reflection, long before it is bright.
    """
    red, green, blue = cv2.split(cv2.blur(image, (3, 3)).astype(np.float32))
    white = cv2.min(green, blue)
    side = 2 * round(SURROUNDINGS * image.shape[1] / 2) + 1
    around = cv2.divide(*(cv2.boxFilter(x, -1, (side, side)) for x in (white, cv2.add(red, 1.0))))
    more = cv2.subtract(white, cv2.multiply(around, red))
    paler = more > cv2.max(cv2.multiply(red, PALER), LEAST_MORE)
    return cv2.dilate(paler.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
