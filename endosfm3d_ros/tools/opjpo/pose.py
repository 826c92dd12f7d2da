"""Poses in model units: `X = R @ (vertex - centre) + position`.

A silhouette does not change when model and position grow together, so that nothing in here knows
metres; the scale comes from depth (`scale`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class UnitPose:
    """Rotation, and where the model's centre is, in the camera frame and model units."""

    R: np.ndarray  # (3, 3)
    position: np.ndarray  # (3,)

    def points(self, centred: np.ndarray) -> np.ndarray:
        """(N, 3) float32 centred model points in the camera frame."""
        return centred @ self.R.T.astype(np.float32) + self.position.astype(np.float32)

    def moved(self, step: np.ndarray) -> UnitPose:
        """The pose after a step (6,): rotation vector, then translation over the distance."""
        turn, _ = cv2.Rodrigues(step[:3])
        return UnitPose(turn @ self.R, self.position + self.position[2] * step[3:])

    def step_from(self, other: UnitPose) -> np.ndarray:
        """(6,) the step that leads from the other pose to this one."""
        turn, _ = cv2.Rodrigues(self.R @ other.R.T)
        return np.concatenate([turn[:, 0], (self.position - other.position) / other.position[2]])
