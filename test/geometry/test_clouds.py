from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.clouds import grid_normals, lift, stride_for

CAMERA = PinholeCamera(64, 48, 60.0, 62.0, 31.0, 24.0)


def test_lifted_points_project_onto_their_pixels():
    depth = np.random.default_rng(0).uniform(0.03, 0.2, (48, 64)).astype(np.float32)
    points = lift(depth, CAMERA, stride=5)
    v, u = np.mgrid[0:48:5, 0:64:5]
    expected = np.stack([u, v], axis=-1).reshape(-1, 2)
    assert np.allclose(CAMERA.project(points.reshape(-1, 3)), expected, atol=1e-3)
    assert np.array_equal(points[..., 2], depth[::5, ::5])


def test_normals_of_a_tilted_plane_look_at_the_camera():
    normal = np.array([0.3, -0.2, -1.0]) / np.linalg.norm([0.3, -0.2, -1.0])
    rays = CAMERA.rays()
    depth = (-0.05 / (rays @ normal)).astype(np.float32)
    found = grid_normals(lift(depth, CAMERA))
    assert np.allclose(found[1:-1, 1:-1], normal, atol=1e-3)
    assert np.isnan(found[0]).all()


@pytest.mark.parametrize("limit", [1, 100, 3000, 10**6])
def test_the_stride_keeps_the_limit(limit):
    stride = stride_for(64, 48, limit)
    assert len(range(0, 64, stride)) * len(range(0, 48, stride)) <= max(limit, 1) * 2
    assert stride == 1 or (64 / (stride - 1)) * (48 / (stride - 1)) > limit
