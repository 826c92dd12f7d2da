"""Rigid motions as 4x4 float64 matrices. `T_a_b` maps points of frame b into frame a."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def from_quaternion(translation: np.ndarray, quaternion_xyzw: np.ndarray) -> np.ndarray:
    """4x4 from a translation (3) and a quaternion (x, y, z, w) of any positive length."""
    return from_rotation(Rotation.from_quat(quaternion_xyzw).as_matrix(), translation)


def to_quaternion(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translation (3) and unit quaternion (x, y, z, w) with w >= 0."""
    return T[:3, 3].copy(), Rotation.from_matrix(T[:3, :3]).as_quat(canonical=True)


def from_rotation(R: np.ndarray, translation: np.ndarray = (0.0, 0.0, 0.0)) -> np.ndarray:
    """4x4 from a 3x3 rotation and a translation (3)."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = translation
    return T


def from_vectors(rotation_vector: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """4x4 from a rotation vector (radians) and a translation, the pair that cv2.solvePnP uses."""
    rotation = Rotation.from_rotvec(np.ravel(rotation_vector)).as_matrix()
    return from_rotation(rotation, np.ravel(translation))


def inverse(T: np.ndarray) -> np.ndarray:
    """Inverse of a rigid motion."""
    R = T[:3, :3].T
    return from_rotation(R, -R @ T[:3, 3])


def normalised(T: np.ndarray) -> np.ndarray:
    """The nearest rigid motion: long chains of products drift away from one."""
    return from_rotation(Rotation.from_matrix(T[:3, :3]).as_matrix(), T[:3, 3])


def scaled(T: np.ndarray, factor: float) -> np.ndarray:
    """The same motion in a world that is larger by a factor: only the translation is a length."""
    return from_rotation(T[:3, :3], factor * T[:3, 3])


def transform(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., 3) points mapped by T, in the dtype of `points`."""
    return (points @ T[:3, :3].T + T[:3, 3]).astype(points.dtype, copy=False)


def rotation_angle(T: np.ndarray) -> float:
    """Angle of the rotation in radians, 0..pi."""
    return float(Rotation.from_matrix(T[:3, :3]).magnitude())
