"""New points take over the shape that the points before them have found."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.optical_flow import corners
from endosfm3d_ros.sfm.scale.sources import NO_LANDMARKS, Landmarks
from endosfm3d_ros.sfm.tracking.landmarks import shaped
from endosfm3d_ros.types import DepthMap, ScaleSource

CAMERA = PinholeCamera(320, 256, 260.0, 260.0, 159.5, 127.5)


def truth(pixels: np.ndarray) -> np.ndarray:
    """(N,) depth of a slope."""
    return 0.05 + 1e-4 * (pixels[:, 0] - 160)


def flat() -> DepthMap:
    """A guess that knows nothing of the slope."""
    depth = np.full((256, 320), 0.05, np.float32)
    return DepthMap(depth, np.ones_like(depth), CAMERA, "guess", ScaleSource.RELATIVE, 0)


def places(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform((5, 5), (315, 250), (count, 2))


def test_new_points_follow_the_points_around_them():
    known, new = places(0, 300), places(1, 200)
    guessed = CAMERA.unproject(new) * 0.05
    points = shaped(new, guessed, Landmarks(known, truth(known), (320, 256)), flat(), CAMERA)
    before = np.abs(np.log(guessed[:, 2] / truth(new)))
    after = np.abs(np.log(points[:, 2] / truth(new)))
    assert after.mean() < 0.15 * before.mean()
    assert np.allclose(CAMERA.project(points), new)  # along their rays


def test_without_known_points_the_guess_stays():
    new = places(1, 20)
    guessed = CAMERA.unproject(new) * 0.05
    assert np.array_equal(shaped(new, guessed, NO_LANDMARKS, flat(), CAMERA), guessed)


def test_no_corners_are_found_where_none_are_wanted():
    grey = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    mask = np.ones_like(grey)
    taken = np.float32([[32, 32], [10, 50]])
    found = corners(grey, mask, 7, 0.01, 5.0, taken)
    assert len(found) == 5
    assert np.linalg.norm(found[:, None] - taken, axis=2).min() > 5
    assert corners(grey, mask, 2, 0.01, 5.0, taken).shape == (0, 2)
