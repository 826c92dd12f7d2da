"""Bundle adjustment on generated scenes, whose solution is known."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.solvers.bundle import adjust
from endosfm3d_ros.sfm.solvers.bundle_model import Bundle, Observations

FOCAL, CENTRE = 555.0, (320.0, 256.0)


@pytest.fixture(scope="module")
def scene():
    """(true bundle, observations with 0.3 px of noise) of 8 views and 120 points, metres."""
    rng = np.random.default_rng(0)
    views, count = 8, 120
    points = np.column_stack([
        rng.uniform(-0.03, 0.03, (count, 2)), 0.05 + rng.uniform(-0.012, 0.012, count)
    ])  # fmt: skip
    T = np.stack([
        se3.from_vectors(rng.normal(0, 0.12, 3), rng.normal(0, 0.006, 3)) if i else np.eye(4)
        for i in range(views)
    ])  # fmt: skip
    view, point = np.divmod(rng.permutation(views * count), count)
    local = np.einsum("mij,mj->mi", T[view][:, :3, :3], points[point]) + T[view][:, :3, 3]
    pixels = FOCAL * local[:, :2] / local[:, 2:] + CENTRE + rng.normal(0, 0.3, (len(view), 2))
    seen = Observations(view, point, pixels, local[:, 2], 0.3, 0.01)
    return Bundle(T, points, np.array([FOCAL, *CENTRE])), seen


def disturbed(truth: Bundle, lens: np.ndarray) -> Bundle:
    rng = np.random.default_rng(1)
    T = truth.T_view_world.copy()
    for i in range(1, len(T)):
        T[i] = se3.from_vectors(rng.normal(0, 0.01, 3), rng.normal(0, 0.001, 3)) @ T[i]
    return Bundle(T, truth.points + rng.normal(0, 0.001, truth.points.shape), lens)


def test_poses_and_points_are_recovered(scene):
    truth, seen = scene
    start = disturbed(truth, truth.lens)
    found = adjust(start, seen, fixed=np.arange(8) == 0)
    assert np.abs(found.T_view_world - truth.T_view_world).max() < 2e-3
    assert np.median(np.linalg.norm(found.points - truth.points, axis=1)) < 5e-5


def test_the_camera_is_recovered_within_its_covariance(scene):
    """From 30 % off, without any measured depth."""
    truth, seen = scene
    blind = Observations(
        seen.view, seen.point, seen.pixels, np.full(len(seen.view), np.nan), 0.3, 1.0
    )
    start = disturbed(truth, np.array([0.7 * FOCAL, 310.0, 250.0]))
    prior = np.array([np.log(0.7 * FOCAL), 310, 250]), np.array([0.5, 40, 40])
    found = adjust(start, blind, fixed=np.arange(8) == 0, lens_prior=prior)
    error = found.lens - truth.lens
    sigma = np.sqrt(np.diag(found.lens_covariance))
    assert (np.abs(error) < 4 * sigma).all()
    assert abs(error[0]) < 0.005 * FOCAL


def test_fixed_views_stay(scene):
    truth, seen = scene
    fixed = np.arange(8) < 3
    start = disturbed(truth, truth.lens)
    found = adjust(start, seen, fixed=fixed)
    assert np.array_equal(found.T_view_world[fixed], start.T_view_world[fixed])
    assert not np.array_equal(found.T_view_world[~fixed], start.T_view_world[~fixed])


def test_pose_covariance_is_of_the_size_of_the_error(scene):
    truth, seen = scene
    found = adjust(disturbed(truth, truth.lens), seen, fixed=np.arange(8) == 0)
    for i in range(1, 8):
        error = (found.T_view_world[i] @ se3.inverse(truth.T_view_world[i]))[:3, 3]
        sigma = np.sqrt(np.diag(found.pose_covariance[i])[:3])
        assert (np.abs(error) < 5 * sigma).all()
        assert (sigma < 1e-3).all()
