"""How red a pixel is: the one number in which metal and tissue differ under any lamp.

Blood absorbs green and not red, so tissue has log(R / G) between 0.2 and 1.5 while steel and
plastic keep the lamp's own value, near zero after white balance. Shading cancels in the ratio.
The numbers are kept as 8-bit codes, on which OpenCV's filters are quick.
"""

from __future__ import annotations

import cv2
import numpy as np

LOWEST, STEP = -0.6, 0.008  # log(R / G) of code 0, and from one code to the next
OFFSET = 4.0  # grey levels of read noise and black level: keeps the ratio of dark pixels tame
LOGARITHM = (np.log(np.arange(256) + OFFSET) / STEP).astype(np.float32)[:, None]


def redness_codes(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 codes of an (H, W, 3) uint8 RGB image, free of single odd pixels."""
    logarithm = cv2.LUT(image[..., :2], LOGARITHM)
    difference = cv2.subtract(*cv2.split(logarithm))
    codes = cv2.add(difference, -LOWEST / STEP, dtype=cv2.CV_8U)
    return cv2.medianBlur(codes, 5)


def redness_of(code: float) -> float:
    """log(R / G) of a code."""
    return LOWEST + STEP * float(code)


def code_of(redness: float) -> float:
    """The code of a log(R / G), not rounded."""
    return (redness - LOWEST) / STEP
