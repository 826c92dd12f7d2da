"""An instrument as a strip: a straight axis that comes in from outside and ends at a tip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

MIN_WIDTH = 2.0  # px, of half a strip


@dataclass(frozen=True, eq=False)
class Axis:
    """Pixels at working size, x y."""

    base: np.ndarray  # (2,) where the strip comes into the image, or its other end
    tip: np.ndarray  # (2,)
    half_width: float
    enters: bool  # whether it goes on behind its base

    @classmethod
    def of(cls, mask: np.ndarray, entry: np.ndarray | None) -> Axis:
        """The strip of an (h, w) bool mask with at least one pixel.

        Args:
            mask: of one tool.
            entry: (2,) where it comes in from the border; where it does not, either end is the tip.
        """
        m = cv2.moments(mask.astype(np.uint8), binaryImage=True)
        centre = np.array([m["m10"], m["m01"]]) / m["m00"]
        spread = np.array([[m["mu20"], m["mu11"]], [m["mu11"], m["mu02"]]]) / m["m00"]
        direction = np.linalg.eigh(spread)[1][:, 1]
        if entry is not None and direction @ (centre - entry) < 0:
            direction = -direction
        along = (cv2.findNonZero(mask.astype(np.uint8))[:, 0] - centre) @ direction
        low, high = float(along.min()), float(along.max())
        half = max(m["m00"] / max(high - low, 1.0) / 2, MIN_WIDTH)
        axis = cls(centre + low * direction, centre + high * direction, half, entry is not None)
        return axis.within(mask.shape)

    @property
    def ends(self) -> np.ndarray:
        """(2, 2) base and tip."""
        return np.stack([self.base, self.tip])

    @property
    def direction(self) -> np.ndarray:
        """(2,) unit, from base to tip."""
        along = self.tip - self.base
        return along / max(float(np.hypot(*along)), 1e-6)

    def moved(self, step: np.ndarray) -> Axis:
        """With (2, 2) added to base and tip."""
        return replace(self, base=self.base + step[0], tip=self.tip + step[1])

    def within(self, shape: tuple[int, ...]) -> Axis:
        """The same strip with its base at the border of an (h, w) image, if it comes from there."""
        if not self.enters:
            return self
        back = -self.direction
        ways = zip(back.tolist(), self.tip.tolist(), shape[1::-1])  # plain numbers
        reach = [((limit if away > 0 else 0) - tip) / away for away, tip, limit in ways if away]
        length = max(min(reach, default=np.inf), self.half_width)
        return replace(self, base=self.tip + length * back)

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """From (h, w) pixels to the axis in half widths: below 1 within the strip."""
        return np.sqrt(self._squared(x, y)) / np.float32(self.half_width)

    def covers(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(h, w) bool: pixels within the strip."""
        return self._squared(x, y) < self.half_width**2

    def _squared(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Squared distance to the axis in px^2."""
        ux, uy = (float(value) for value in self.direction)  # Python's numbers keep float32
        dx, dy = x - float(self.tip[0]), y - float(self.tip[1])
        along = dx * ux + dy * uy
        across = dy * ux - dx * uy
        beyond = np.maximum(along, 0)
        if not self.enters:
            length = float(np.hypot(*(self.tip - self.base)))
            beyond = np.maximum(beyond, -along - length)
        return across * across + beyond * beyond

    def motion_to(self, other: Axis) -> np.ndarray:
        """(2, 3) rigid motion of the image that takes tip and direction to those of another one."""
        (ax, ay), (bx, by) = self.direction, other.direction
        cosine, sine = ax * bx + ay * by, ax * by - ay * bx
        turn = np.array([[cosine, -sine], [sine, cosine]])
        return np.column_stack([turn, other.tip - turn @ self.tip])
