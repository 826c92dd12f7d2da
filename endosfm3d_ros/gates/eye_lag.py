"""Eyes of different moments: one runs behind the other and is stamped as if it did not."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from endosfm3d_ros.gates.limits import EYE_LAG, LAG_GAIN

ROWS = 48  # heights at which eyes are compared; rows of a pair show the same
SECOND = 10**9
WINDOW = 4 * SECOND  # ns of pictures that are compared
LONGEST = 2 * SECOND  # ns of lag that is looked for
LEAST = 12  # pictures
PERIOD = SECOND // 4  # ns between looks
LOOKS = 3  # in a row that must agree


class EyeLag:
    """Compares how the rows of both eyes change in time.

    Rows of a rectified pair show the same tissue, and those of a raw pair nearly; so the mean grey
    of each row rises and falls together in both eyes. If it does so better with one of them moved
    in time, that one is behind.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Another stream."""
        self._seen: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=120)
        self._looked = 0
        self._said: deque[int] = deque(maxlen=LOOKS)  # ns, of the last looks that told something
        self.lag = 0.0  # s by which the right eye is behind the left one; negative the other way

    def add(self, stamp: int, left: np.ndarray, right: np.ndarray) -> float:
        """Enter a pair; returns the lag in seconds, 0 where there is none or nothing tells.

        Args:
            stamp: nanoseconds.
            left: (H, W, 3) uint8.
            right: the same for the other eye.
        """
        if self._seen and not 0 < stamp - self._seen[-1][0] < SECOND:
            self.clear()
        self._seen.append((stamp, _rows(left), _rows(right)))
        while stamp - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        if stamp - self._looked >= PERIOD and len(self._seen) >= LEAST:
            self._looked = stamp
            found = self._look()
            if found is not None:
                self._said.append(found)
                spread = max(self._said) - min(self._said)
                if len(self._said) == LOOKS and spread <= EYE_LAG.value * SECOND:
                    lag = float(np.median(self._said)) / SECOND
                    self.lag = lag if abs(lag) >= EYE_LAG.value else 0.0
        return self.lag

    def _look(self) -> int | None:
        """Nanoseconds by which the right eye is behind; None where the pictures do not tell."""
        stamps = np.array([stamp for stamp, *_ in self._seen], np.int64)
        left, right = (
            np.array(column) - np.mean(column, axis=0) for column in list(zip(*self._seen))[1:]
        )
        step = int(np.median(np.diff(stamps)))
        most = min(LONGEST // step, len(stamps) - LEAST // 2)
        scores = {k: _likeness(left, right, k) for k in range(-most, most + 1)}
        best = max(scores, key=lambda k: scores[k])
        if scores[best] < 0.5:  # nothing moves, or the eyes show different things
            return None
        if scores[0] > scores[best] - LAG_GAIN.value:
            return 0
        return best * step


def _rows(picture: np.ndarray) -> np.ndarray:
    """(ROWS,) mean grey of each height."""
    grey = cv2.resize(picture, (16, ROWS), interpolation=cv2.INTER_AREA)
    return grey.mean(axis=(1, 2), dtype=np.float32)


def _likeness(left: np.ndarray, right: np.ndarray, behind: int) -> float:
    """Correlation of the rows' changes with the right eye taken to be so many pictures behind."""
    a = left[: len(left) - behind] if behind >= 0 else left[-behind:]
    b = right[behind:] if behind >= 0 else right[: len(right) + behind]
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0
