"""What instruments leave behind in a map of the tissue: dark metal, its shadow, its blur.

The truth is a picture of the same moment without instruments, which only a simulator can give.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

RING = 20  # px around instruments
MEMORY = 1.0  # s for which a place where an instrument was counts as near one


class NearTools:
    """Knows, frame by frame, which pixels an instrument is or just was near.

    A pixel counts where an instrument is within `RING` px, or was on it within `MEMORY` s, if
    tissue was seen there at some time within `MEMORY` s: what was never seen cannot be right.
    """

    def __init__(self) -> None:
        self._masks: deque[tuple[int, np.ndarray]] = deque()

    def add(self, stamp: int, mask: np.ndarray) -> np.ndarray:
        """(H, W) bool pixels to score.

        Args:
            stamp: ns; later than the one before.
            mask: (H, W) bool, True on instruments.
        """
        while self._masks and stamp - self._masks[0][0] > MEMORY * 1e9:
            self._masks.popleft()
        self._masks.append((stamp, mask))
        past = [mask for _, mask in self._masks]
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING + 1, 2 * RING + 1))
        ring = cv2.dilate(mask.astype(np.uint8), disc) > 0
        return (ring | np.logical_or.reduce(past)) & ~np.logical_and.reduce(past)


def contamination(rendered: np.ndarray, clean: np.ndarray, near: np.ndarray) -> float:
    """Mean absolute difference of colours, 0..255, over pixels near instruments.

    Args:
        rendered: (H, W, 3) uint8 the map without instruments.
        clean: (H, W, 3) uint8 the picture that would be taken if there were no instruments.
        near: (H, W) bool of `NearTools`.

    Returns:
        NaN where no pixel is near.
    """
    if not near.any():
        return float("nan")
    return float(cv2.absdiff(rendered, clean)[near].mean())
