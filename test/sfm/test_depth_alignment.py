"""The scale of one eye's depth, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.tracking.depth_alignment import DepthAlignment
from endosfm3d_ros.types import DepthMap, ScaleSource

CAMERA = PinholeCamera.default(8, 6)


def flat(depth: float) -> DepthMap:
    plane = np.full((6, 8), depth, np.float32)
    return DepthMap(plane, np.ones_like(plane), CAMERA, "test", ScaleSource.RELATIVE, 0)


def points(factor: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Expected and measured depth of 100 points; a fifth of them on something else."""
    rng = np.random.default_rng(seed)
    expected = rng.uniform(0.03, 0.07, 100)
    measured = expected / factor * np.exp(0.02 * rng.normal(size=100))
    measured[:20] *= 3
    return expected, measured


def test_flicker_is_taken_out():
    alignment = DepthAlignment()
    rng = np.random.default_rng(0)
    depths = []
    for i in range(20):
        flicker = float(np.exp(0.03 * rng.normal()))
        alignment.observe(*points(1 / flicker, i))
        depths.append(float(alignment.apply(flat(0.05 * flicker)).depth[0, 0]))
    assert np.std(depths) / 0.05 < 0.006
    assert np.mean(depths) == pytest.approx(0.05, rel=0.01)


def test_a_wrong_frame_moves_the_scale_by_ten_per_cent_at_most():
    alignment = DepthAlignment()
    alignment.observe(*points(1.0))
    alignment.observe(*points(4.0))
    assert 1.0 < alignment.apply(flat(1.0)).depth[0, 0] < 1.12


def test_few_points_change_nothing():
    alignment = DepthAlignment()
    expected, measured = points(2.0)
    alignment.observe(expected[:10], measured[:10])
    alignment.observe(np.full(50, np.nan), np.ones(50))
    assert alignment.apply(flat(1.0)).depth[0, 0] == 1.0
