"""Pictures and masks that come with new stamps and are not of now."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.gates.eye_lag import EyeLag
from endosfm3d_ros.gates.limits import GREY_CHANGE, MASK_CHANGE, STILL_FOR, STILL_SHARE
from endosfm3d_ros.types import Frame

SAMPLED = 160  # px of width that are looked at
SECOND = 10**9


class Still:
    """How long one stream of pictures shows the same."""

    def __init__(self) -> None:
        self._first: tuple[int, np.ndarray] | None = None  # stamp and pixels since when it is still

    def seconds(self, stamp: int, picture: np.ndarray) -> float:
        """Seconds since the first picture that looked like this one; 0 for a new one.

        Args:
            stamp: nanoseconds.
            picture: (H, W, 3) uint8.
        """
        pixels = _sample(picture)
        if self._first is not None:
            since, before = self._first
            if stamp >= since and before.shape == pixels.shape:
                same = (before == pixels).all(axis=2).mean()
                if same >= STILL_SHARE.value:
                    return (stamp - since) / SECOND
        self._first = stamp, pixels
        return 0.0


class StillMask:
    """How long a mask stays the same while the picture below it does not."""

    def __init__(self) -> None:
        self._first: tuple[int, np.ndarray, np.ndarray] | None = None

    def seconds(self, stamp: int, labels: np.ndarray, picture: np.ndarray) -> float:
        """Seconds since a mask began that does not belong to this picture any more; 0 if it may.

        Args:
            stamp: nanoseconds.
            labels: (H, W) of integers, 0 is no instrument.
            picture: (H, W, 3) uint8 that it came with.
        """
        size = _size(picture)
        mask = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST) > 0
        grey = cv2.cvtColor(_sample(picture), cv2.COLOR_RGB2GRAY).astype(np.int16)
        if self._first is not None:
            since, before, looked = self._first
            if stamp >= since and before.shape == mask.shape and np.array_equal(before, mask):
                if not mask.any():
                    return 0.0
                changed = (np.abs(grey - looked) > GREY_CHANGE.value)[mask].mean()
                return (stamp - since) / SECOND if changed > MASK_CHANGE.value else 0.0
        self._first = stamp, mask, grey
        return 0.0


class InputGate:
    """Whether the parts of frames are of now.

    Args:
        stills: whether pictures that do not change are accepted, for trying out.
    """

    def __init__(self, stills: bool = False) -> None:
        self._stills = stills
        self.clear()

    def clear(self) -> None:
        """Another stream."""
        self._eyes = {"left": Still(), "right": Still()}
        self._mask = StillMask()
        self._lag = EyeLag()

    def still(self, frame: Frame) -> tuple[float, str]:
        """Seconds since the older of the eyes was new, and which one it is."""
        if self._stills:
            return 0.0, "left"
        found = [(self._eyes["left"].seconds(frame.stamp, frame.image), "left")]
        if frame.right_image is not None:
            found.append((self._eyes["right"].seconds(frame.stamp, frame.right_image), "right"))
        return max(found, key=lambda each: each[0])

    def lag(self, frame: Frame) -> float:
        """Seconds by which the right eye of a frame is behind; 0 where it is not."""
        if frame.right_image is None:
            return 0.0
        return self._lag.add(frame.stamp, frame.image, frame.right_image)

    def stale_mask(self, frame: Frame) -> float:
        """Seconds for which the mask of a frame has not followed the picture; 0 if it may."""
        if frame.tool_labels is None:
            return 0.0
        return self._mask.seconds(frame.stamp, frame.tool_labels, frame.image)


def frozen_words(eye: str, seconds: float) -> str:
    """What is said of a picture that does not change."""
    return (
        f"the {eye} picture has not changed for {seconds:.1f} s although its stamps go on: frozen, "
        f"{STILL_FOR.value:g} s are accepted"
    )


def lag_words(seconds: float) -> str:
    """What is said of an eye that runs behind the other."""
    eye = "right" if seconds > 0 else "left"
    return (
        f"the {eye} picture is {abs(seconds):.1f} s behind the other, though stamped alike: "
        "pairs are of two moments"
    )


def stale_mask_words(seconds: float) -> str:
    """What is said of a mask that does not follow the picture."""
    return (
        f"tool masks have not changed for {seconds:.1f} s while the picture below them has: they "
        "are of another moment"
    )


def _size(picture: np.ndarray) -> tuple[int, int]:
    height, width = picture.shape[:2]
    step = max(1, width // SAMPLED)
    return -(-width // step), -(-height // step)


def _sample(picture: np.ndarray) -> np.ndarray:
    """Every n-th pixel, copied: the picture itself is not kept alive."""
    step = max(1, picture.shape[1] // SAMPLED)
    return np.ascontiguousarray(picture[::step, ::step])
