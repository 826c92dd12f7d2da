"""A few pictures of a film, spread over it, for the page of a run."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

KEPT = 24  # at most, in the page
QUALITY = 82  # of JPEG


@dataclass(frozen=True)
class Still:
    """One frame as JPEG."""

    number: int  # of the frame in the recording
    seconds: float  # since the first
    jpeg: bytes

    def uri(self) -> str:
        """For the `src` of a picture."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


class Stills:
    """Keeps at most `2 * KEPT` pictures; when full, every second one goes, and so on."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._every, self._count = kept, 1, 0
        self._stills: list[Still] = []

    def add(self, number: int, seconds: float, picture: np.ndarray) -> None:
        """Consider a frame of the film, (H, W, 3) uint8 RGB."""
        self._count += 1
        if (self._count - 1) % self._every:
            return
        bgr = np.ascontiguousarray(picture[..., ::-1])
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        self._stills.append(Still(number, seconds, jpeg))
        if len(self._stills) > 2 * self._kept:
            self._stills = self._stills[::2]
            self._every *= 2

    def chosen(self) -> list[Still]:
        """At most `kept`, evenly spread, the first and the last among them."""
        count = min(self._kept, len(self._stills))
        places = np.linspace(0, len(self._stills) - 1, count)
        return [self._stills[round(place)] for place in places]
