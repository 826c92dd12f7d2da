"""Both eyes in one picture, side by side or one above the other."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

LAYOUTS = ("single", "side_by_side", "top_bottom")
ALIKE = 0.8  # correlation of two halves that show one scene
UNLIKE = 0.6  # what halves of one picture stay below
SMALL = 64  # px of a half
REACH = 0.2  # of its width: the largest disparity


def split(image: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Left and right eye of a (H, W, 3) picture; None for the right one of a single picture.

    Raises:
        InputError: a size that has no halves.
    """
    if layout == "single":
        return image, None
    axis = 1 if layout == "side_by_side" else 0
    if image.shape[axis] % 2:
        raise InputError(
            f"picture of {image.shape[1]}x{image.shape[0]} as {layout}: halves need an even size"
        )
    left, right = np.split(image, 2, axis=axis)
    return np.ascontiguousarray(left), np.ascontiguousarray(right)


def looks_packed(image: np.ndarray) -> str | None:
    """The layout whose halves show one scene; None for a picture of one eye."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if min(height, width) < 2 * SMALL:
        return None
    halves = {
        "side_by_side": (grey[:, : width // 2], grey[:, width // 2 : width // 2 * 2]),
        "top_bottom": (grey[: height // 2], grey[height // 2 : height // 2 * 2]),
    }
    likeness = {layout: _likeness(*pair) for layout, pair in halves.items()}
    best = max(likeness, key=lambda layout: likeness[layout])
    other = min(likeness.values())
    return best if likeness[best] > ALIKE and other < UNLIKE else None


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two pictures of even light, at the best shift along the row."""
    small = []
    for half in (a, b):
        scaled = cv2.resize(half, (SMALL, SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
        small.append(scaled - cv2.GaussianBlur(scaled, (0, 0), SMALL / 8))
    margin = int(REACH * SMALL)
    patch = small[0][2:-2, margin:-margin]
    if patch.std() < 1.0:
        return 0.0
    return float(cv2.matchTemplate(small[1], patch, cv2.TM_CCOEFF_NORMED).max())
