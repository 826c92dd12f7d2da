from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry import se3

T = se3.from_vectors([0.3, -0.2, 0.5], [1.0, 2.0, 3.0])


def test_inverse():
    assert np.allclose(se3.inverse(T) @ T, np.eye(4))


def test_quaternions_are_xyzw_and_survive_a_round_trip():
    translation, quaternion = se3.to_quaternion(se3.from_vectors([np.pi / 2, 0, 0], [0, 0, 1]))
    assert np.allclose(quaternion, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    assert np.allclose(se3.from_quaternion(*se3.to_quaternion(T)), T)
    assert np.allclose(translation, [0, 0, 1])


def test_transform_keeps_shape_and_type():
    points = np.ones((2, 3, 3), np.float32)
    moved = se3.transform(T, points)
    assert moved.shape == points.shape
    assert moved.dtype == np.float32
    assert np.allclose(moved[0, 0], T[:3, :3] @ [1, 1, 1] + T[:3, 3])


def test_rotation_angle():
    assert np.isclose(se3.rotation_angle(T), np.linalg.norm([0.3, -0.2, 0.5]))
