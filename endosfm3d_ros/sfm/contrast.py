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
    mean = cv2.blur(grey.astype(np.float32), (side, side))
    square = cv2.sqrBoxFilter(grey, cv2.CV_32F, (side, side))
    deviation = cv2.sqrt(cv2.max(square - mean * mean, 0))
    even = MIDDLE + CONTRAST * (grey - mean) / (deviation + NOISE)
    return np.clip(even, 0, 255).astype(np.uint8)
