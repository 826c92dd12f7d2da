"""Both eyes in one picture: side by side or one above the other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError

# which half is the left eye: (axis of the halves, whether the left eye comes second)
LAYOUTS: dict[str, tuple[int, bool]] = {
    "side-by-side": (1, False),
    "side-by-side-crossed": (1, True),
    "stacked": (0, False),
    "stacked-crossed": (0, True),
}
AUTO, ONE = "auto", "one"  # look whether there are two; believe that there is one
ACCEPTED = (AUTO, ONE, *LAYOUTS)
LIKENESS_SIZE = 96  # px; sides of the halves that are compared
REACH = 14  # px of those; eyes see the same things this far apart
ALIKE = 0.36  # between 786 real single pictures, 0.27 at most, and 113 pairs, 0.47 at least


def require_layout(eyes: str) -> str:
    """The word itself, if it is accepted.

    Raises:
        ConfigurationError: it is not.
    """
    if eyes not in ACCEPTED:
        raise ConfigurationError(f"eyes {eyes!r}: accepted are {', '.join(ACCEPTED)}")
    return eyes


def split(image: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """(left, right) halves of an (H, W, ..) picture; an odd row or column at the end is dropped."""
    axis, crossed = LAYOUTS[layout]
    half = image.shape[axis] // 2
    parts = [np.ascontiguousarray(part) for part in _halves(image, axis, half)]
    return (parts[1], parts[0]) if crossed else (parts[0], parts[1])


def eye_size(size: tuple[int, int], layout: str) -> tuple[int, int]:
    """(width, height) of each eye in a picture of `size`."""
    axis, _ = LAYOUTS[layout]
    return (size[0] // 2, size[1]) if axis == 1 else (size[0], size[1] // 2)


def likeness(image: np.ndarray, axis: int) -> float:
    """Correlation of the fine structure of both halves at their best shift, -1 .. 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (LIKENESS_SIZE, LIKENESS_SIZE)
    halves = _halves(grey, axis, grey.shape[axis] // 2)
    one, other = (cv2.resize(half, size, interpolation=cv2.INTER_AREA) for half in halves)
    one, other = (_fine_structure(half.astype(np.float32)) for half in (one, other))
    middle = np.ascontiguousarray(one[2:-2, REACH:-REACH])
    if min(middle.std(), other.std()) < 1.0:  # nothing to compare but noise
        return 0.0
    return float(cv2.matchTemplate(other, middle, cv2.TM_CCOEFF_NORMED).max())


def require_one_eye(images: Sequence[np.ndarray], name: str) -> None:
    """Refuse (H, W, 3) pictures that show both eyes.

    Raises:
        InputError: their halves are alike; says which option splits them.
    """
    for axis, layout in ((1, "side-by-side"), (0, "stacked")):
        alike = float(np.median([likeness(image, axis) for image in images]))
        if alike > ALIKE:
            raise InputError(
                f"{name}: both halves show the same (correlation {alike:.2f}, {ALIKE} at most is "
                f"accepted), as if both eyes were in one picture: --eyes {layout} (or "
                f"{layout}-crossed) splits it, --eyes {ONE} takes it as one eye"
            )


def _halves(image: np.ndarray, axis: int, half: int) -> tuple[np.ndarray, np.ndarray]:
    return image.take(range(half), axis), image.take(range(half, 2 * half), axis)


def _fine_structure(grey: np.ndarray) -> np.ndarray:
    return grey - cv2.GaussianBlur(grey, (0, 0), 3)
