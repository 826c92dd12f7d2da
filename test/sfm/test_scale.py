"""Metres from each source, and what happens to a stream that becomes metric."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.stereo import StereoConfig
from endosfm3d_ros.sfm.scale.normaliser import MetricScale, ScaleConfig
from endosfm3d_ros.sfm.scale.shafts import from_shafts
from endosfm3d_ros.sfm.scale.sources import (
    NO_LANDMARKS,
    KinematicScale,
    Landmarks,
    ScaleSourcesConfig,
    from_stereo,
)
from endosfm3d_ros.sfm.scale.stage import ScaleStage
from endosfm3d_ros.types import CameraPose, DepthMap, Frame, ScaleSource, TrackingState

CAMERA = PinholeCamera(320, 256, 277.6, 277.6, 160.0, 128.0)


def depth_map(depth: np.ndarray, scale: ScaleSource = ScaleSource.RELATIVE) -> DepthMap:
    return DepthMap(depth.astype(np.float32), np.ones_like(depth), CAMERA, "test", scale, 0)


def points_of(depth: np.ndarray) -> Landmarks:
    """Some pixels of a depth map of half the size that it is compared with."""
    pixels = np.random.default_rng(1).integers(2, (158, 126), (200, 2))
    u, v = (2 * pixels).T
    return Landmarks(pixels - 0.25, depth[v, u], (160, 128))


def hilly(seed: int = 0) -> np.ndarray:
    v, u = np.mgrid[0:256, 0:320]
    return 0.05 + 0.01 * np.sin(u / 50 + seed) * np.cos(v / 40)


def path(count: int = 60) -> np.ndarray:
    t = np.arange(count) / 15
    turns = 0.1 * np.column_stack([np.sin(t), np.cos(t), 0.5 * t])
    places = 0.01 * np.column_stack([np.sin(t), np.sin(0.7 * t), np.cos(0.5 * t)])
    return np.stack([se3.from_vectors(r, p) for r, p in zip(turns, places)])


def shaft_picture(distance: float) -> tuple[np.ndarray, np.ndarray]:
    """(labels, depth in metres) of an 8 mm cylinder that comes in from the right, parallel to
    the image, its axis at `distance`."""
    labels = np.zeros((256, 320), np.uint8)
    z = hilly() + 0.05
    half = round(CAMERA.fx * 0.004 / distance)
    rows = np.arange(-half, half + 1)
    surface = distance - np.sqrt(np.maximum(0.004**2 - (rows * distance / CAMERA.fx) ** 2, 0))
    labels[128 - half : 128 + half + 1, 150:] = 1
    z[128 - half : 128 + half + 1, 150:] = surface[:, None]
    return labels, z


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_right_eye_gives_the_factor(factor):
    rng = np.random.default_rng(0)
    noisy = hilly() * np.exp(0.05 * rng.normal(size=(256, 320)))
    noisy[:80] = np.nan
    pair = depth_map(noisy, ScaleSource.STEREO)
    found = from_stereo(points_of(hilly() / factor), pair, 1.0, ScaleSourcesConfig())
    assert found[0] == pytest.approx(factor, rel=0.01)


def test_a_focal_length_that_is_off_does_not_change_lengths_across_the_view():
    """Points seen with 5 % too much of it lie 5 % too far away, with the same width."""
    stretched = points_of(1.05 * hilly() / 2)
    pair = depth_map(hilly(), ScaleSource.STEREO)
    assert from_stereo(stretched, pair, 1.05, ScaleSourcesConfig())[0] == pytest.approx(2, rel=1e-3)


def test_the_robot_gives_the_factor_in_any_frame():
    truth = path()
    base = se3.from_vectors((0.4, -1.0, 0.3), (0.3, 0.1, -0.2))
    rng = np.random.default_rng(0)
    kinematics = KinematicScale()
    for T in truth:
        mine = se3.from_rotation(T[:3, :3], T[:3, 3] / 2.5)
        robot = base @ T
        robot[:3, 3] += 1e-4 * rng.normal(size=3)
        found = kinematics.add(mine, robot)
    assert found[0] == pytest.approx(2.5, rel=0.02)
    assert abs(np.log(found[0] / 2.5)) < 3 * found[1]


@pytest.mark.parametrize("axis", [(0.0, 0.0, np.pi), (np.pi, 0.0, 0.0)])
def test_a_turn_by_180_degrees_between_arm_and_camera_does_not_change_the_factor(axis):
    """An endoscope may be inserted upside down, and the arm may look along -z: places count."""
    turn, kinematics = se3.from_vectors(axis, (0.0, 0.0, 0.0)), KinematicScale()
    for T in path():
        found = kinematics.add(se3.from_rotation(T[:3, :3], T[:3, 3] / 2.5), T @ turn)
    assert found[0] == pytest.approx(2.5, rel=1e-6)


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_a_robot_with_noise_above_its_motion_gives_nothing(noise):
    """Row: kinematics with 20 mm of noise made 5.2 m of 42 mm, at a stated 1.7 %."""
    rng, kinematics = np.random.default_rng(0), KinematicScale()
    for T in path():
        robot = T.copy()
        robot[:3, 3] += noise * rng.normal(size=3)
        assert kinematics.add(T, robot) is None


def test_a_robot_whose_pose_freezes_gives_nothing_more():
    kinematics, truth = KinematicScale(), path()
    for i in range(3 * len(truth)):
        found = kinematics.add(truth[i % len(truth)], truth[min(i, len(truth) - 1)])
    assert found is None


def test_a_robot_in_millimetres_is_not_believed_and_that_is_said():
    """Row: kinematics in mm made 37 m."""
    stage = ScaleStage(ScaleConfig("kinematics"), ScaleSourcesConfig(), StereoConfig(), False)
    image, depth = np.zeros((256, 320, 3), np.uint8), depth_map(hilly())
    for i, T in enumerate(path()):
        robot = T.copy()
        robot[:3, 3] *= 1000
        frame = Frame(i * 10**8, image, pose=robot)
        pose = CameraPose(T, np.eye(4), np.eye(6), TrackingState.TRACKING, 100)
        assert stage.observe(frame, depth, pose, NO_LANDMARKS) == 1.0
    assert stage.estimate is None
    assert stage.claim(depth).scale == ScaleSource.RELATIVE
    assert "look like millimetres" in stage.notes()[-1]


def test_a_robot_that_stands_still_gives_nothing():
    kinematics = KinematicScale()
    assert all(kinematics.add(T, np.eye(4)) is None for T in path())


@pytest.mark.parametrize("distance", [0.05, 0.09])
def test_the_shaft_of_an_instrument_gives_the_factor(distance):
    labels, z = shaft_picture(distance)
    (found,) = from_shafts(depth_map(z / 2), labels)
    assert found[0] == pytest.approx(2, rel=0.02)


def test_a_shaft_that_is_inclined_gives_the_same_factor():
    """Silhouette and surface of a cylinder that comes towards the camera, ray by ray."""
    v, u = np.mgrid[0:256, 0:320]
    rays = CAMERA.unproject(np.column_stack([u.ravel(), v.ravel()]).astype(float))
    axis = np.array([0.8, 0.25, -0.55]) / np.linalg.norm([0.8, 0.25, -0.55])
    tip, radius = np.array([0.0, 0.0, 0.085]), 0.004
    a, b = np.cross(rays, axis), np.cross(tip, axis)  # |s a - b| = radius where a ray meets it
    aa, ab = (a * a).sum(axis=1), a @ b
    inside = ab**2 - aa * (b @ b - radius**2)
    s = (ab - np.sqrt(np.maximum(inside, 0))) / aa
    hit = (inside > 0) & ((rays * s[:, None] - tip) @ axis > 0)
    z = np.where(hit, s, 0.12).reshape(256, 320)
    (found,) = from_shafts(depth_map(z / 2), hit.reshape(256, 320).astype(np.uint8))
    assert found[0] == pytest.approx(2, rel=0.02)


def test_what_is_no_shaft_gives_nothing():
    blob = np.zeros((256, 320), np.uint8)
    blob[100:160, 260:] = 1
    assert from_shafts(depth_map(hilly()), blob) == []
    assert from_shafts(depth_map(hilly()), np.full_like(blob, 255)) == []


def test_outliers_do_not_move_the_factor_and_it_is_held_against_small_changes():
    rng = np.random.default_rng(0)
    scale = MetricScale(ScaleConfig("tool_shaft"))
    held = []
    for i in range(60):
        wrong = 3.0 if i % 6 == 0 else 1.0
        scale.observe(ScaleSource.TOOL_SHAFT, 2 * wrong * np.exp(0.1 * rng.normal()), 0.1)
        held.append(scale.estimate())
    assert held[0] is None
    factors = [estimate.factor for estimate in held if estimate]
    assert factors[-1] == pytest.approx(2, rel=0.05)
    assert len(set(factors)) <= 3
    assert 0.005 <= held[-1].sigma < 0.05


def test_what_is_held_carries_the_doubt_of_the_evidence_against_it():
    scale = MetricScale(ScaleConfig("stereo"))
    for factor in (2.0, *[2.018] * 12):
        scale.observe(ScaleSource.STEREO, factor, 0.06 if factor > 2 else 0.02)
        held = scale.estimate()
    assert held.factor == 2.0
    assert held.sigma > np.log(2.018 / 2)


def test_contradicting_sources_are_reported():
    scale = MetricScale(ScaleConfig("kinematics"))
    scale.observe(ScaleSource.KINEMATICS, 2.0, 0.01)
    scale.observe(ScaleSource.STEREO, 2.02, 0.01)
    scale.estimate()
    assert scale.notes() == []
    scale.observe(ScaleSource.STEREO, 2.4, 0.01, instead=True)
    assert "1.20 times that from kinematics" in scale.notes()[0]


def test_choices_are_checked():
    with pytest.raises(ConfigurationError, match="'sonar'"):
        ScaleConfig("sonar")
    with pytest.raises(ConfigurationError, match="positive"):
        ScaleConfig("constant", constant=0.0)


def stage(source: str, **more) -> ScaleStage:
    return ScaleStage(ScaleConfig(source, **more), ScaleSourcesConfig(), StereoConfig(), False)


def tracked(T: np.ndarray) -> CameraPose:
    return CameraPose(T, np.eye(4), np.zeros((6, 6)), TrackingState.TRACKING, 100)


def test_a_stream_becomes_metric_when_the_robot_has_moved():
    part = stage("kinematics")
    image = np.zeros((256, 320, 3), np.uint8)
    grown, depth = 1.0, depth_map(hilly() / 2)
    for i, T in enumerate(path()):
        mine = se3.from_rotation(T[:3, :3], grown * T[:3, 3] / 2)
        frame = Frame(i, image, pose=T)
        now = replace(depth, depth=depth.depth * np.float32(grown))
        if i == 0:
            assert part.claim(now).scale == ScaleSource.RELATIVE
        grown *= part.observe(frame, now, tracked(mine), NO_LANDMARKS)
    assert part.claim(now).scale == ScaleSource.KINEMATICS
    assert grown == pytest.approx(2, rel=0.02)
    assert part.estimate.source == ScaleSource.KINEMATICS


def test_the_doubt_about_the_focal_length_is_published_with_the_scale():
    image = np.zeros((256, 320, 3), np.uint8)
    sigmas = []
    for focal_sigma in (0.0, 0.04):
        part = stage("kinematics")
        for i, T in enumerate(path()):
            frame = Frame(i, image, pose=T)
            part.observe(frame, depth_map(hilly()), tracked(T), NO_LANDMARKS, focal_sigma)
        sigmas.append(part.estimate.sigma)
    assert sigmas[0] < 0.02
    assert sigmas[1] == pytest.approx(np.hypot(sigmas[0], 0.04))


def test_without_a_source_a_stream_stays_relative(monkeypatch):
    monkeypatch.setattr("endosfm3d_ros.sfm.scale.stage.from_shafts", None)  # nobody asks
    part = stage("none")
    for i, T in enumerate(path()):
        image = np.zeros((256, 320, 3), np.uint8)
        frame = Frame(i, image, pose=T, tool_labels=image[..., 0])
        assert part.observe(frame, depth_map(hilly()), tracked(T), NO_LANDMARKS) == 1.0
    assert part.estimate is None
    assert part.claim(depth_map(hilly())).scale == ScaleSource.RELATIVE


@pytest.mark.parametrize("baseline", [1.0, 1.1, 1.5, 0.6])
def test_a_baseline_that_was_wrong_from_the_start_contradicts_the_shafts(baseline):
    """Depth of a pair is proportional to its baseline; what is seen of a shaft is not."""
    labels, z = shaft_picture(0.06)
    part = stage("none")
    frame = Frame(0, np.zeros((256, 320, 3), np.uint8), tool_labels=labels)
    given = replace(depth_map(z * np.float32(baseline)), scale=ScaleSource.STEREO)
    for i in range(20):
        part.observe(replace(frame, stamp=i), given, tracked(np.eye(4)), NO_LANDMARKS)
    if abs(baseline - 1) < 0.2:
        assert part.notes() == []
    else:
        (note,) = part.notes()
        found = re.match(r"scale from tool_shaft is (\S+) times that from stereo", note)
        assert float(found[1]) == pytest.approx(1 / baseline, rel=0.08)


def test_a_constant_holds_from_the_first_frame():
    part = stage("constant", constant=1.5)
    frame = Frame(0, np.zeros((256, 320, 3), np.uint8))
    assert part.observe(frame, depth_map(hilly()), tracked(np.eye(4)), NO_LANDMARKS) == 1.5
    assert part.claim(depth_map(hilly())).scale == ScaleSource.CONSTANT
    assert part.observe(frame, depth_map(hilly()), tracked(np.eye(4)), NO_LANDMARKS) == 1.0


def test_metric_depth_is_compared_with_the_robot():
    part = stage("none")
    for i, T in enumerate(path()):
        robot = se3.from_rotation(T[:3, :3], 1.3 * T[:3, 3])
        frame = Frame(i, np.zeros((256, 320, 3), np.uint8), pose=robot)
        assert (
            part.observe(frame, depth_map(hilly(), ScaleSource.STEREO), tracked(T), NO_LANDMARKS)
            == 1.0
        )
    assert "scale from kinematics is 1.30 times that from stereo" in part.notes()[0]


def test_motion_of_the_source_takes_the_units_of_its_depth():
    scale = stage("none")
    depth = scale.normalise(depth_map(2.0 * hilly()))
    factor = np.nanmedian(depth.depth) / np.nanmedian(2.0 * hilly())
    T = se3.from_vectors([0.1, 0.2, 0.0], [0.3, 0.0, 0.1])
    moved = scale.normalise_motion(T)
    assert np.allclose(moved[:3, 3], factor * T[:3, 3])
    assert np.array_equal(moved[:3, :3], T[:3, :3])
