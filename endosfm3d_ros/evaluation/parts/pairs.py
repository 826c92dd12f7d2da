"""What the pose network reads from each pair of neighbouring frames, before anything filters it.

Beside it stands constant velocity: the reference motion of the pair before, which a predictor
without any image could at best repeat.
"""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import SceneUpdate

STILL = 1e-4  # of the unit of the poses: shorter motions have no direction


class PairsPart(Part):
    """Rotation, direction of translation and focal length of single pairs, raw."""

    name = "pairs"

    def __init__(self, sequence: Sequence, pipeline: Pipeline) -> None:
        super().__init__(sequence, pipeline)
        self._motions: dict[int, np.ndarray] = {}
        self._focal_errors: list[float] = []

    def add(self, i: int, update: SceneUpdate) -> None:
        prior = update.motion_prior
        if prior is None:
            return
        self._motions[i] = prior.T_current_previous
        if prior.camera is not None and self._sequence.camera is not None:
            truth = self._sequence.camera
            self._focal_errors.append(abs(prior.camera.fx / truth.fx - 1))

    def scores(self) -> Scores | None:
        pairs = [(self._motions[i], self._truth(i), self._truth(i - 1)) for i in self._motions]
        pairs = [pair for pair in pairs if all(T is not None for T in pair)]
        if not pairs:
            return None
        scores = Scores(len(pairs))
        for name, which in (("", 0), ("constant_velocity_", 2)):
            rotation = np.array([rotation_angle(pair[which], pair[1]) for pair in pairs])
            direction = np.array([direction_angle(pair[which], pair[1]) for pair in pairs])
            scores = scores.with_mean(f"{name}rot_deg", rotation)
            scores = scores.with_mean(f"{name}direction_deg", direction[np.isfinite(direction)])
        return scores.with_mean("focal_rel_err", np.array(self._focal_errors), np.median)

    def _truth(self, i: int) -> np.ndarray | None:
        """Motion of points from frame i - 1 to frame i; None without both poses."""
        if i < 1:
            return None
        before, now = self._sequence.reference_pose(i - 1), self._sequence.reference_pose(i)
        return None if before is None or now is None else se3.inverse(now) @ before


def rotation_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between the rotations of two 4x4 motions."""
    cosine = (np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def direction_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between the translations of two 4x4 motions; NaN where the second hardly moves."""
    lengths = np.linalg.norm(a[:3, 3]), np.linalg.norm(b[:3, 3])
    if lengths[1] < STILL or lengths[0] == 0:
        return float("nan")
    cosine = a[:3, 3] @ b[:3, 3] / (lengths[0] * lengths[1])
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
