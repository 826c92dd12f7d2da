"""Depth maps at the pixels of the raw image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.evaluation.metrics.resampling import depth_on_image
from endosfm3d_ros.geometry.camera import PinholeCamera

LENS = PinholeCamera(64, 48, 60.0, 61.0, 31.0, 24.5)


def plane(camera: PinholeCamera) -> np.ndarray:
    """Depth of a tilted plane along the pixels of a camera; linear in inverse depth."""
    rays = camera.rays()
    return 1 / (20 + 6 * rays[..., 0] - 4 * rays[..., 1])


def test_the_same_camera_gives_the_same_map():
    depth = plane(LENS)
    assert depth_on_image(depth, LENS, LENS) is depth


@pytest.mark.parametrize("size", [(32, 24), (16, 12), (24, 40), (128, 96)])
def test_a_plane_survives_any_size(size):
    camera = LENS.resized(*size)
    depth = depth_on_image(plane(camera), camera, LENS)
    inner = slice(4, -4), slice(4, -4)  # beyond the outermost centres the edge is repeated
    assert np.isfinite(depth).all()
    assert depth[inner] == pytest.approx(plane(LENS)[inner], rel=2e-3)


def test_distortion_is_followed():
    lens = replace(LENS, distortion=(-0.3, 0.1, 0.0, 0.0))
    camera = lens.undistorted()
    depth = depth_on_image(plane(camera), camera, lens)
    known = np.isfinite(depth)
    assert known[8:-8, 8:-8].all()
    assert depth[known] == pytest.approx(plane(lens)[known], rel=6e-3)  # half a pixel at the edge
    assert np.abs(plane(camera) / plane(lens) - 1).max() > 0.02  # pixel by pixel would be wrong


def test_pixels_that_the_map_does_not_see_are_invalid():
    lens = replace(LENS, distortion=(-0.3, 0.1, 0.0, 0.0))  # a barrel sees more than its pinhole
    depth = depth_on_image(plane(lens.undistorted()), lens.undistorted(), lens)
    assert np.isnan(depth[0, 0]) and np.isfinite(depth[24, 31])


def test_invalid_pixels_neither_spread_nor_pull():
    camera = LENS.resized(32, 24)
    small = np.full((24, 32), 0.05, np.float32)
    small[:, 16:] = np.nan
    depth = depth_on_image(small, camera, LENS)
    assert np.isfinite(depth[:, :32]).all() and np.isnan(depth[:, 32:]).all()
    assert depth[:, :32] == pytest.approx(np.full((48, 32), 0.05))
