"""Where the robot was at the time of an image: poses joined by stamp; knows no rclpy."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3

MILLISECOND = 1_000_000  # ns


class StampedPoses:
    """The last poses (4x4 camera-to-base) of one robot, by the nanoseconds of their stamps.

    Args:
        between: largest gap in ns between two poses that are interpolated.
        near: ns up to which the nearest pose counts where there is none on the other side, because
            it has not come yet or the stream of poses has a gap.
        capacity: poses kept; 2 s of a fast robot.
    """

    def __init__(
        self,
        between: int = 100 * MILLISECOND,
        near: int = 40 * MILLISECOND,
        capacity: int = 2000,
    ) -> None:
        self._between, self._near, self._capacity = between, near, capacity
        self._stamps: list[int] = []
        self._poses: list[np.ndarray] = []

    def add(self, stamp: int, T: np.ndarray) -> None:
        """Enter a pose; one that is far older than the last means that time has jumped back."""
        if not np.isfinite(T).all():
            return
        if self._stamps and stamp < self._stamps[-1] - self._between:
            self._stamps, self._poses = [], []
        place = bisect_left(self._stamps, stamp)
        if place < len(self._stamps) and self._stamps[place] == stamp:
            self._poses[place] = T
            return
        self._stamps.insert(place, stamp)
        self._poses.insert(place, T)
        if len(self._stamps) > self._capacity:
            del self._stamps[0], self._poses[0]

    def at(self, stamp: int) -> np.ndarray | None:
        """4x4 at a stamp; None where no pose is near enough to tell."""
        after = bisect_left(self._stamps, stamp)
        if after < len(self._stamps) and self._stamps[after] == stamp:
            return self._poses[after]
        if 0 < after < len(self._stamps):
            gap = self._stamps[after] - self._stamps[after - 1]
            if gap <= self._between:
                share = (stamp - self._stamps[after - 1]) / gap
                return interpolated(self._poses[after - 1], self._poses[after], share)
        sides = [k for k in (after - 1, after) if 0 <= k < len(self._stamps)]
        nearest = min(sides, key=lambda k: abs(self._stamps[k] - stamp), default=None)
        if nearest is None or abs(self._stamps[nearest] - stamp) > self._near:
            return None
        return self._poses[nearest]


def interpolated(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """4x4 on the way from a to b: straight, turning evenly."""
    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).as_rotvec()
    R = a[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    return se3.from_rotation(R, (1 - share) * a[:3, 3] + share * b[:3, 3])
