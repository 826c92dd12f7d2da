"""Images without the light: the lamp of an endoscope travels with the camera.

Brightness that slides over the tissue drags corners along with it, a little in every frame and
always the same way. What is left after the local mean and contrast are taken out is the tissue.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 0.04  # of the width: the square over which light is taken to be even
NOISE = 4.0  # grey levels; contrast below it is not raised
CONTRAST = 40.0  # grey levels per standard deviation
MIDDLE = 128


def evened(grey: np.ndarray) -> np.ndarray:
    """(H, W) uint8 with the same mean and contrast everywhere."""
    side = 2 * round(SIDE * grey.shape[1] / 2) + 1
    mean = cv2.boxFilter(grey, cv2.CV_32F, (side, side))
    square = cv2.sqrBoxFilter(grey, cv2.CV_32F, (side, side))
    variance = cv2.max(cv2.subtract(square, cv2.multiply(mean, mean)), 0)
    deviation = cv2.add(cv2.sqrt(variance), NOISE)
    above = cv2.subtract(grey, mean, dtype=cv2.CV_32F)
    return cv2.add(cv2.divide(above, deviation, scale=CONTRAST), MIDDLE, dtype=cv2.CV_8U)
