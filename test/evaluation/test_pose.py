"""Trajectory measures on trajectories whose answer is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endosfm3d_ros.evaluation.metrics.pose import (
    accumulated,
    path_length,
    position_errors,
    relative_errors,
    released_accumulation,
    released_errors,
    rotation_errors,
    snippet_errors,
    umeyama,
)
from endosfm3d_ros.geometry import se3


@pytest.fixture
def trajectory() -> np.ndarray:
    """(40, 4, 4) camera-to-world of a smooth path, in metres."""
    time = np.linspace(0, 3, 40)
    positions = 0.02 * np.column_stack([np.sin(time), np.cos(1.3 * time), 0.4 * time])
    turns = 0.2 * np.column_stack([np.sin(time), 0.5 * time, np.cos(time)])
    return np.stack([se3.from_vectors(r, t) for r, t in zip(turns, positions)])


ELSEWHERE = se3.from_vectors(np.array([0.4, -1.2, 0.3]), np.array([1.0, -2.0, 0.5]))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def test_umeyama_finds_a_known_similarity():
    source = np.random.default_rng(0).normal(size=(20, 3))
    R = Rotation.from_rotvec([0.3, 1.0, -0.5]).as_matrix()
    found = umeyama(source, 2.5 * source @ R.T + [1, 2, 3], with_scale=True)
    assert found.scale == pytest.approx(2.5)
    assert np.allclose(found.R, R)
    assert found.translation == pytest.approx([1, 2, 3])


def test_umeyama_never_mirrors():
    source = np.random.default_rng(0).normal(size=(20, 3))
    assert np.linalg.det(umeyama(source, source * [1, 1, -1], with_scale=True).R) > 0


def test_umeyama_of_a_standing_camera_keeps_its_scale():
    found = umeyama(np.zeros((5, 3)), np.ones((5, 3)), with_scale=True)
    assert found.scale == 1
    assert found.apply(np.zeros((5, 3))) == pytest.approx(np.ones((5, 3)))


def test_another_world_frame_is_no_error(trajectory):
    moved = ELSEWHERE @ trajectory
    errors = position_errors(moved[:, :3, 3], trajectory[:, :3, 3], with_scale=False)
    assert errors.max() < 1e-12


def test_a_scale_error_counts_in_se3_and_not_in_sim3(trajectory):
    positions = trajectory[:, :3, 3]
    assert position_errors(1.1 * positions, positions, with_scale=True).max() < 1e-12
    spread = rms(np.linalg.norm(positions - positions.mean(axis=0), axis=1))
    assert rms(position_errors(1.1 * positions, positions, False)) == pytest.approx(0.1 * spread)


def test_noise_gives_an_error_of_its_size():
    draws = np.random.default_rng(0)
    positions = draws.normal(size=(5000, 3))
    noisy = positions + 0.01 * draws.normal(size=(5000, 3))
    assert rms(position_errors(noisy, positions, False)) == pytest.approx(0.01 * 3**0.5, rel=0.03)


def test_steady_drift_shows_in_every_step(trajectory):
    drift = se3.from_vectors(np.array([0, 0, np.radians(0.5)]), np.array([0.001, 0, 0]))
    drifting = [trajectory[0]]
    for previous, current in pairwise(trajectory):
        drifting.append(drifting[-1] @ np.linalg.inv(previous) @ current @ drift)
    errors = relative_errors(np.stack(drifting), trajectory)
    assert errors.translation == pytest.approx(np.full(39, 0.001))
    assert errors.degrees == pytest.approx(np.full(39, 0.5))


def test_relative_errors_do_not_depend_on_the_world_frame(trajectory):
    errors = relative_errors(ELSEWHERE @ trajectory, trajectory)
    assert errors.translation.max() < 1e-12 and errors.degrees.max() < 1e-5


def test_steps_over_a_missing_frame_are_left_out(trajectory):
    numbers = np.array([0, 1, 2, 4, 5, 8])
    errors = relative_errors(trajectory[numbers], trajectory[numbers], numbers)
    assert len(errors.degrees) == 3  # 0-1, 1-2, 4-5
    alone = np.array([0, 2, 4])
    assert len(relative_errors(trajectory[alone], trajectory[alone], alone).degrees) == 0


def test_snippets_ignore_a_scale_that_changes_slowly(trajectory):
    scaled = trajectory.copy()
    scaled[:, :3, 3] *= 40
    assert snippet_errors(scaled, trajectory).max() < 1e-12
    assert len(snippet_errors(scaled, trajectory)) == 36


def test_snippets_do_not_depend_on_the_world_frame(trajectory):
    assert snippet_errors(ELSEWHERE @ trajectory, trajectory).max() < 1e-12


def test_snippet_error_is_a_norm_over_five():
    reference = np.tile(np.eye(4), (5, 1, 1))
    reference[:, 0, 3] = np.arange(5)
    estimate = reference.copy()
    estimate[2, 1, 3] = 1.0  # one frame one unit beside the line
    scale = 30 / 31  # least squares: sum(x y) / sum(x^2)
    expected = np.sqrt(np.sum((np.arange(5) * (1 - scale)) ** 2) + scale**2) / 5
    assert snippet_errors(estimate, reference) == pytest.approx([expected])


def test_snippets_need_five_neighbours(trajectory):
    numbers = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9])
    errors = snippet_errors(trajectory[numbers], trajectory[numbers], numbers)
    assert len(errors) == 1  # 5..9
    assert len(snippet_errors(trajectory[:4], trajectory[:4])) == 0


def test_snippets_of_a_standing_estimate_are_finite(trajectory):
    standing = np.tile(np.eye(4), (40, 1, 1))
    assert np.isfinite(snippet_errors(standing, trajectory)).all()


def test_path_length_sums_the_steps():
    assert path_length(np.array([[0, 0, 0], [3, 4, 0], [3, 4, 2.0]])) == 7


def test_only_the_inverse_makes_a_trajectory_of_motions(trajectory):
    motions = [np.linalg.inv(b) @ a for a, b in pairwise(trajectory)]
    ours = accumulated(motions)
    assert trajectory[0] @ ours == pytest.approx(trajectory)
    right = released_errors(ours[1:], trajectory[1:])
    assert right.ate_rmse < 1e-12 and right.rotation_mean < 1e-4
    wrong = released_errors(released_accumulation(motions), trajectory[1:])
    assert wrong.ate_rmse > 1e-3


def test_a_turned_world_is_no_rotation_error_and_one_wrong_camera_is():
    poses = np.stack([se3.from_vectors((0, 0, 0.1 * i), (i, 0, 0)) for i in range(20)])
    world = se3.from_vectors((0.3, -0.2, 0.5), (1, 2, 3))
    assert rotation_errors(world @ poses, poses).max() < 1e-5
    estimate = poses.copy()
    estimate[4] = estimate[4] @ se3.from_vectors((0, np.radians(10), 0), np.zeros(3))
    errors = rotation_errors(estimate, poses)
    assert 9 < errors[4] < 10.1
    assert np.median(errors) < 1
