"""Tissue that breathes under a camera: what is whose, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.tracking.deformation import DeformationConfig, deformation
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import Located, View
from endosfm3d_ros.sfm.tracking.tissue_motion import TissueMotion
from endosfm3d_ros.types import CameraPose, DepthMap, ScaleSource, TrackingState

CAMERA = PinholeCamera(320, 256, 262.0, 262.0, 159.5, 127.5)
DISTANCE = 0.05
SECONDS = 0.1


def points() -> np.ndarray:
    """(N, 3) on a wall at DISTANCE that fills the view."""
    u, v = np.meshgrid(np.linspace(10, 310, 16), np.linspace(10, 246, 13))
    return DISTANCE * CAMERA.unproject(np.stack([u.ravel(), v.ravel()], axis=1))


def keyframe() -> Keyframe:
    X, blank = points(), np.zeros((256, 320), np.uint8)
    return Keyframe(
        1, np.eye(4), np.eye(4), np.zeros((6, 6)), blank, CAMERA,
        CAMERA.project(X).astype(np.float32), X, X[:, 2].copy(), 0.002,
    )  # fmt: skip


def swell(breath: float) -> np.ndarray:
    """(N, 3) displacement of a bump that rises to the camera by `breath` metres at most."""
    X = points()
    near = np.exp(-np.square(X[:, :2]).sum(axis=1) / (2 * 0.03**2))
    return breath * near[:, None] * np.array([0.2, 0.1, -1.0])


def seen(breath: float, T_camera: np.ndarray) -> tuple[Located, View]:
    """The wall with a bump, from a camera-to-world pose, located as if nothing had moved."""
    there = se3.transform(se3.inverse(T_camera), points() + swell(breath))
    # a rigid fit of what is seen: the pose that tracking believes
    a, b = points(), there
    U, _, Vt = np.linalg.svd((b - b.mean(0)).T @ (a - a.mean(0)))
    R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
    T = se3.from_rotation(R, b.mean(0) - R @ a.mean(0))
    depth = np.full((256, 320), np.nan, np.float32)
    pixels = CAMERA.project(there)
    for (x, y), z in zip(pixels.round().astype(int), there[:, 2]):
        depth[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = z
    measured = DepthMap(depth, np.ones_like(depth), CAMERA, "made", ScaleSource.STEREO, 0)
    blank = np.zeros((256, 320), np.uint8)
    view = View(blank, blank, CAMERA, measured, 0.002)
    index = np.arange(len(points()))
    return Located(T, 1e-10 * np.eye(6), index, pixels.astype(np.float32)), view


def believed(located: Located) -> CameraPose:
    T = se3.inverse(located.T_camera_keyframe)
    return CameraPose(T, np.eye(4), 1e-10 * np.eye(6), TrackingState.TRACKING, 200)


def played(breath, path, count: int = 100):
    """(count,) errors in metres of rigid poses and of those without the tissue's part."""
    tissue, rigid, without, sigmas = TissueMotion(), [], [], []
    for i in range(count):
        truth = se3.from_vectors(np.zeros(3), path(SECONDS * i))
        located, view = seen(breath(SECONDS * i), truth)
        pose = believed(located)
        tissue.observe(int(1e9 * SECONDS) * i, keyframe(), located, view, pose)
        applied = tissue.applied(pose)
        rigid.append(np.linalg.norm((pose.T_map_camera - truth)[:3, 3]))
        without.append(np.linalg.norm((applied.T_map_camera - truth)[:3, 3]))
        sigmas.append(np.sqrt(applied.covariance[:3, :3].trace()))
        assert np.allclose(applied.T_odom_camera, pose.T_odom_camera)
    return np.array(rigid), np.array(without), np.array(sigmas)


def breath(time: float) -> float:
    return 0.004 * (0.5 - 0.5 * np.cos(2 * np.pi * time / 4.0))


def at_rest(time: float) -> np.ndarray:
    return np.zeros(3)


def led(time: float) -> np.ndarray:
    return np.array([0.004 * np.sin(0.6 * time), 0.003 * np.sin(0.8 * time), 0.0])


def test_a_rigid_motion_is_no_deformation():
    T = se3.from_vectors(np.array([0.02, -0.03, 0.05]), np.array([0.002, 0.001, -0.003]))
    located, view = seen(0.0, T)
    found = deformation(keyframe(), located, view, DeformationConfig())
    assert np.linalg.norm(found) < 5e-4
    assert np.linalg.norm(deformation(keyframe(), *seen(0.004, T), DeformationConfig())) > 4e-3


def test_few_points_say_nothing():
    located, view = seen(0.004, np.eye(4))
    few = replace(located, index=located.index[:20], pixels=located.pixels[:20])
    assert deformation(keyframe(), few, view, DeformationConfig()) is None


@pytest.mark.parametrize("path", [at_rest, led])
def test_breathing_is_taken_out_of_the_path(path):
    rigid, without, _ = played(breath, path)
    assert without[50:].mean() < 0.4 * rigid[50:].mean()


def test_the_path_over_still_tissue_stays_as_it_is():
    rigid, without, sigmas = played(lambda time: 0.0, led)
    assert np.abs(without - rigid).max() < 2e-5
    assert sigmas.max() < 5e-4


@pytest.mark.parametrize("path", [at_rest, led])
def test_what_cannot_be_told_apart_is_stated(path):
    _, without, sigmas = played(breath, path)
    assert (without[1:] < 3 * sigmas[1:]).mean() > 0.95


def test_with_one_eye_the_pose_stays_and_the_doubt_is_stated():
    tissue = TissueMotion()
    for i in range(20):
        located, view = seen(breath(SECONDS * i), np.eye(4))
        view, pose = replace(view, depth=None), believed(located)
        tissue.observe(int(1e9 * SECONDS) * i, keyframe(), located, view, pose)
    applied = tissue.applied(pose)
    np.testing.assert_allclose(applied.T_map_camera, pose.T_map_camera, atol=1e-12)
    assert np.sqrt(applied.covariance[2, 2]) > 0.5 * abs(pose.T_map_camera[2, 3])
