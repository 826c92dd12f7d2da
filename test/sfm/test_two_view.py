"""A start from two views alone: right where it can be known, refused where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.tracking.two_view import two_view

K = np.array([[520.0, 0, 320], [0, 520, 256], [0, 0, 1]])
MOTION = se3.from_vectors([0.03, -0.05, 0.1], [-0.006, 0.003, 0.002])  # m


def scene(relief: float) -> np.ndarray:
    """(N, 3) m: points of a slope, with relief."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform((20, 20), (620, 490), (250, 2))
    z = 0.06 + 2e-5 * (pixels[:, 0] - 320) + relief * rng.normal(size=250)
    return np.column_stack([(pixels - K[:2, 2]) / 520, np.ones(250)]) * z[:, None]


def seen(points: np.ndarray, T: np.ndarray, seed: int, wrong: int = 25) -> np.ndarray:
    """(N, 2) px with noise, some of them anywhere."""
    rng = np.random.default_rng(seed)
    local = se3.transform(T, points)
    pixels = local[:, :2] / local[:, 2:] * 520 + K[:2, 2] + rng.normal(0, 0.3, (len(points), 2))
    pixels[:wrong] += rng.uniform(-40, 40, (wrong, 2))
    return pixels


def pair(points: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return seen(points, np.eye(4), 1, wrong=0), seen(points, T, 2)


def test_relief_and_motion_are_found_up_to_scale():
    points = scene(relief=0.008)
    found = two_view(*pair(points, MOTION), K)
    assert found is not None
    assert se3.rotation_angle(found.T_second_first @ se3.inverse(MOTION)) < np.radians(0.5)
    mine, true = found.T_second_first[:3, 3], MOTION[:3, 3]
    assert mine @ true / np.linalg.norm(true) > np.cos(np.radians(5))
    known = np.isfinite(found.points[:, 0])
    assert known.sum() > 200
    ratio = found.points[known, 2] / points[known, 2]
    assert np.percentile(np.abs(ratio / np.median(ratio) - 1), 80) < 0.03


@pytest.mark.parametrize("case", ["plane", "turn", "still", "few"])
def test_what_cannot_be_known_is_refused(case):
    turn = se3.from_vectors([0.05, -0.1, 0.2], [0, 0, 0])
    points = scene(relief=0.0 if case == "plane" else 0.008)
    T = {"plane": MOTION, "turn": turn, "still": np.eye(4), "few": MOTION}[case]
    first, second = pair(points, T)
    rows = slice(30) if case == "few" else slice(None)
    assert two_view(first[rows], second[rows], K) is None
