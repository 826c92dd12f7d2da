"""Joints of an instrument: where its links are, and how each joint moves them.

Three joints: the wrist's pitch about x at the origin, and the angle of each jaw about y at the
hinge. Half the difference of the two is how far the jaws are open, their mean is the wrist's yaw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.tools.articulated.family import JAW, OTHER_JAW, WRIST

PITCH, FIRST, SECOND = range(3)  # joints
NAMES = ("wrist_pitch", "jaw_1", "jaw_2")
MOVES = {PITCH: (WRIST, JAW, OTHER_JAW), FIRST: (JAW,), SECOND: (OTHER_JAW,)}  # links


@dataclass(frozen=True)
class Linkage:
    """The joints of one instrument."""

    hinge: float  # m, from the origin to the axis of the jaws
    lower: np.ndarray  # (3,) rad
    upper: np.ndarray  # (3,) rad
    paired: bool  # two jaws, which cannot pass each other
    closest: float = -0.02  # rad, half the least angle between two jaws
    usual: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.2, -0.2]))  # rad
    spread: np.ndarray = field(default_factory=lambda: np.array([0.7, 0.6, 0.6]))  # rad, 1 sigma

    @property
    def free(self) -> np.ndarray:
        """(3,) bool: joints that move."""
        return self.upper > self.lower

    def within(self, joints: np.ndarray) -> np.ndarray:
        """(3,) the nearest angles within the limits."""
        joints = np.clip(joints, self.lower, self.upper)
        if self.paired:
            yaw, half = (joints[FIRST] + joints[SECOND]) / 2, (joints[FIRST] - joints[SECOND]) / 2
            half = max(half, self.closest)
            joints = np.array([joints[PITCH], yaw + half, yaw - half])
        return joints

    def links(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(4, 3, 3) rotations and (4, 3) translations of the links in the tool frame."""
        sine, cosine = np.sin(joints), np.cos(joints)
        wrist = np.array([[1, 0, 0], [0, cosine[0], -sine[0]], [0, sine[0], cosine[0]]])
        offset = self.hinge * wrist[:, 2]
        turns, moves = [np.eye(3), wrist], [np.zeros(3), np.zeros(3)]
        for j in (FIRST, SECOND):
            swing = np.array([[cosine[j], 0, sine[j]], [0, 1, 0], [-sine[j], 0, cosine[j]]])
            turns.append(wrist @ swing)
            moves.append(offset)
        return np.stack(turns), np.stack(moves)

    def axes(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(3, 3) unit axes of the joints, one a row, and (3, 3) points on them, tool frame."""
        turns, moves = self.links(joints)
        axes = np.stack([np.array([1.0, 0, 0]), turns[WRIST][:, 1], turns[WRIST][:, 1]])
        return axes, np.stack([np.zeros(3), moves[JAW], moves[JAW]])
