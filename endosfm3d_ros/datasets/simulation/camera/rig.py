"""The stereo endoscope of the named scenes."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import StereoGeometry

BASELINE = 0.00413  # metres; a da Vinci Xi endoscope
FOCAL = 0.8675  # of the width; the rectified da Vinci Xi view


def stereo_rig(raw_rotation: float, width: int, height: int) -> StereoGeometry:
    """The pair: rectified, or with raw eyes turned about a skew axis.

    The right eye turns by 60 % of the left one's angle about another axis, and the raw focal
    lengths differ from the rectified one, so that nothing cancels by symmetry.

    Args:
        raw_rotation: degrees between the raw and the rectified left eye.
        width: pixels of one eye.
        height: pixels of one eye.
    """
    rectified = PinholeCamera(
        width, height, FOCAL * width, FOCAL * width, 0.502 * width, 0.497 * height
    )
    P_left = np.column_stack([rectified.K, np.zeros(3)])
    P_right = P_left.copy()
    P_right[0, 3] = -rectified.fx * BASELINE
    if not raw_rotation:
        return StereoGeometry(rectified, rectified, np.eye(3), P_left, np.eye(3), P_right)
    angle = np.radians(raw_rotation)
    left = _turned(angle, (0.55, 0.72, 0.42))
    right = _turned(-0.6 * angle, (0.75, -0.5, 0.43))
    raw = [zoomed(rectified, factor) for factor in (0.96, 0.965)]
    return StereoGeometry(*raw, left, P_left, right, P_right)


def zoomed(camera: PinholeCamera, factor: float) -> PinholeCamera:
    """The camera with both focal lengths, and the offset of its centre, magnified."""
    K = camera.K
    middle = (np.array(camera.size) - 1) / 2
    K[:2, :2] *= factor
    K[:2, 2] = middle + factor * (K[:2, 2] - middle)
    return PinholeCamera.from_matrix(K, *camera.size)


def _turned(angle: float, axis: tuple[float, float, float]) -> np.ndarray:
    unit = np.array(axis) / np.linalg.norm(axis)
    return se3.from_vectors(angle * unit, np.zeros(3))[:3, :3]
