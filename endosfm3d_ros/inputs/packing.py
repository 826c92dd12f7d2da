"""Both eyes in one picture, side by side or one above the other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError

SINGLE = "single"
# layout -> (axis of the halves, whether the left eye comes second)
PACKED = {
    "side_by_side": (1, False),
    "top_bottom": (0, False),
    "side_by_side_crossed": (1, True),
    "top_bottom_crossed": (0, True),
}
LAYOUTS = (SINGLE, *PACKED)
SMALL = 96  # px of a half
REACH = 14  # px of it: the largest disparity
ALIKE = 0.36  # between 786 real single pictures, 0.27 at most, and 113 real pairs, 0.47 at least


def require_layout(layout: str) -> str:
    """The word itself, if it is accepted.

    Raises:
        ConfigurationError: it is not.
    """
    if layout not in LAYOUTS:
        raise ConfigurationError(f"image layout {layout!r}: accepted are {', '.join(LAYOUTS)}")
    return layout


def split(image: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Left and right eye of an (H, W, ..) picture; None for the right one of a single picture.

    Raises:
        InputError: a size that has no halves.
    """
    if layout == SINGLE:
        return image, None
    axis, crossed = PACKED[layout]
    if image.shape[axis] % 2:
        raise InputError(
            f"picture of {image.shape[1]}x{image.shape[0]} as {layout}: halves need an even size"
        )
    first, second = (np.ascontiguousarray(half) for half in np.split(image, 2, axis=axis))
    return (second, first) if crossed else (first, second)


def eye_size(size: tuple[int, int], layout: str) -> tuple[int, int]:
    """(width, height) of each eye in a picture of `size`."""
    if layout == SINGLE:
        return size
    return (size[0] // 2, size[1]) if PACKED[layout][0] == 1 else (size[0], size[1] // 2)


def looks_packed(image: np.ndarray) -> str | None:
    """The layout whose halves show one scene; None for a picture of one eye."""
    return _verdict([image])[0]


def require_single(images: Sequence[np.ndarray], name: str) -> None:
    """Refuse (H, W, 3) pictures that show both eyes.

    Raises:
        InputError: their halves are alike; says which option splits them.
    """
    layout, alike = _verdict(images)
    if layout is not None:
        raise InputError(
            f"{name}: both halves show the same (correlation {alike:.2f}, {ALIKE} at most is "
            f"accepted), as if both eyes were in one picture: --input image_layout={layout} (or "
            f"{layout}_crossed) splits it, --input image_layout={SINGLE} takes it as one eye"
        )


def _verdict(images: Sequence[np.ndarray]) -> tuple[str | None, float]:
    """The layout that most of the pictures look like, and how alike their halves are."""
    likeness = {
        layout: float(np.median([_likeness(image, axis) for image in images]))
        for layout, (axis, crossed) in PACKED.items()
        if not crossed
    }
    best = max(likeness, key=lambda layout: likeness[layout])
    return (best if likeness[best] > ALIKE else None), likeness[best]


def _likeness(image: np.ndarray, axis: int) -> float:
    """Correlation of the fine structure of both halves at their best shift, -1 .. 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    half = grey.shape[axis] // 2
    if half < SMALL // 2:
        return 0.0
    halves = (grey.take(range(half), axis), grey.take(range(half, 2 * half), axis))
    one, other = (_fine_structure(part) for part in halves)
    patch = np.ascontiguousarray(one[2:-2, REACH:-REACH])
    if min(patch.std(), other.std()) < 1.0:  # nothing to compare but noise
        return 0.0
    return float(cv2.matchTemplate(other, patch, cv2.TM_CCOEFF_NORMED).max())


def _fine_structure(grey: np.ndarray) -> np.ndarray:
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), SMALL / 32)
