"""The camera from moving points: rendered dots in space, so that the truth is exact and quick."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.calibration.first_guess import first_guess
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig, IntrinsicsFilter
from endosfm3d_ros.sfm.calibration.lens import LensBelief
from endosfm3d_ros.sfm.calibration.point_tracks import Tracks
from endosfm3d_ros.sfm.calibration.window import Structure
from endosfm3d_ros.sfm.calibration.zoom import ZoomWatch
from endosfm3d_ros.types import Frame

WIDTH, HEIGHT = 320, 256
TRUTH = PinholeCamera(WIDTH, HEIGHT, 300.0, 300.0, 156.0, 130.0)  # 14 % above the first guess
STEP = 66_666_667  # ns


@pytest.fixture(scope="module")
def dots() -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) metres and (N,) grey levels, on a surface with relief."""
    rng = np.random.default_rng(0)
    count = 1800
    x, y = rng.uniform(-0.08, 0.08, (2, count))
    z = 0.055 + 0.015 * np.sin(70 * x) * np.cos(55 * y)  # hills and valleys, as tissue has
    return np.column_stack([x, y, z]), rng.integers(120, 220, count)


def picture(dots, T_world_camera: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """(H, W, 3) uint8: soft discs on grey, four times over-sampled places."""
    points, levels = dots
    local = se3.transform(se3.inverse(T_world_camera), points)
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    order = np.argsort(-local[:, 2])
    for (u, v), z, level in zip(camera.project(local)[order], local[order, 2], levels[order]):
        if z > 0.01 and np.isfinite(u) and abs(u) < 2 * WIDTH and abs(v) < 2 * HEIGHT:
            centre = round(u * 16), round(v * 16)
            cv2.circle(
                image, centre, round(16 * camera.fx / 3000 / z), int(level), -1, cv2.LINE_AA, 4
            )
    return cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 0.8), cv2.COLOR_GRAY2RGB)


def pose(i: int) -> np.ndarray:
    t = i / 12
    turn = 0.25 * np.sin(0.9 * t), 0.25 * (np.cos(0.8 * t) - 1), 0.5 * np.sin(0.5 * t)
    return se3.from_vectors(turn, 0.012 * np.array([np.sin(t), np.sin(0.7 * t), np.sin(0.5 * t)]))


def frames(dots, count: int, camera_of, pose_of=pose):
    for i in range(count):
        camera = camera_of(i)
        yield Frame(i * STEP, picture(dots, pose_of(i), camera)), camera


def focal_errors(estimates, cameras) -> np.ndarray:
    return np.array([e.camera.fx / c.fx - 1 for e, c in zip(estimates, cameras)])


@pytest.fixture(scope="module")
def moving(dots):
    """Estimates over a clip with parallax, and the filter afterwards."""
    intrinsics = IntrinsicsFilter()
    return [intrinsics.update(frame) for frame, _ in frames(dots, 70, lambda _: TRUTH)]


def test_the_focal_length_is_found_from_motion_alone(moving):
    assert abs(moving[0].camera.fx / TRUTH.fx - 1) > 0.1
    assert moving[0].state == "uninitialised"
    last = moving[-1]
    assert last.state == "converged"
    assert abs(last.camera.fx / TRUTH.fx - 1) < 0.03
    assert last.count > 5


def test_the_error_lies_within_the_covariance(moving):
    last = moving[-1]
    error = np.array([last.camera.fx - TRUTH.fx, last.camera.cx - TRUTH.cx,
                      last.camera.cy - TRUTH.cy])  # fmt: skip
    sigma = np.sqrt(np.diag(last.covariance))[[0, 2, 3]]
    assert (np.abs(error) < 4 * sigma).all()
    assert sigma[0] < 0.04 * TRUTH.fx


def test_a_given_calibration_is_not_read(dots, moving):
    """The same clip beside a calibration that is wrong by 30 %."""
    wrong = replace(TRUTH, fx=1.3 * TRUTH.fx, fy=1.3 * TRUTH.fy)
    intrinsics = IntrinsicsFilter()
    clip = frames(dots, 25, lambda _: TRUTH)
    estimates = [intrinsics.update(replace(frame, camera=wrong)) for frame, _ in clip]
    assert [e.camera for e in estimates] == [e.camera for e in moving[:25]]


def test_a_still_camera_cannot_tell_and_keeps_what_was_believed(dots):
    intrinsics = IntrinsicsFilter()
    rng = np.random.default_rng(0)
    for frame, _ in frames(dots, 40, lambda _: TRUTH, lambda _: pose(0)):
        noisy = frame.image + rng.normal(0, 2, frame.image.shape)
        estimate = intrinsics.update(replace(frame, image=noisy.clip(0, 255).astype(np.uint8)))
    assert estimate.state == "unobservable"
    assert np.allclose(estimate.camera.K, first_guess(frame.image).K)
    assert np.sqrt(estimate.covariance[0, 0]) > 0.2 * estimate.camera.fx


def test_a_zoom_is_noticed_and_followed(dots):
    """The focal length grows by 1.3 within five frames, 3 s into the clip."""
    start, fps = 45, 15

    def camera_of(i: int) -> PinholeCamera:
        factor = 1.3 ** float(np.clip((i - start + 1) / 5, 0, 1))
        return replace(TRUTH, fx=TRUTH.fx * factor, fy=TRUTH.fy * factor)

    intrinsics = IntrinsicsFilter()
    estimates, cameras = [], []
    for frame, camera in frames(dots, start + 3 * fps, camera_of):
        estimates.append(intrinsics.update(frame))
        cameras.append(camera)
    noticed = [i for i, e in enumerate(estimates) if e.state == "changed"]
    assert start <= noticed[0] <= start + fps
    assert estimates[-1].state == "converged"
    errors = focal_errors(estimates, cameras)
    assert abs(errors[-1]) < max(0.03, 1.5 * abs(errors[start - 1]))


def test_no_zoom_is_seen_where_there_is_none(moving):
    assert all(estimate.state != "changed" for estimate in moving)


def test_a_prior_that_bends_is_taken_into_account(dots):
    """Points are followed in the image as it is; the camera is solved from straight rays."""
    lens = replace(TRUTH, distortion=(-0.35, 0.15, 0.0, 0.0))
    wrong = replace(lens, fx=1.02 * lens.fx, fy=1.02 * lens.fy)
    intrinsics = IntrinsicsFilter(IntrinsicsConfig("prior", prior_focal_sigma=0.15))
    for frame, _ in frames(dots, 70, lambda _: lens):
        estimate = intrinsics.update(replace(frame, camera=wrong))
    assert estimate.state == "converged"
    assert estimate.camera.distortion == lens.distortion
    assert abs(estimate.camera.fx / lens.fx - 1) < 0.03


def test_a_prior_is_kept_unless_the_video_says_more(dots):
    wrong = replace(TRUTH, fx=1.01 * TRUTH.fx, fy=1.01 * TRUTH.fy)
    intrinsics = IntrinsicsFilter(IntrinsicsConfig("prior"))
    for frame, _ in frames(dots, 20, lambda _: TRUTH):
        estimate = intrinsics.update(replace(frame, camera=wrong))
    assert estimate.mode == "prior"
    assert abs(estimate.camera.fx / TRUTH.fx - 1) < 0.02


def test_the_mode_can_change_while_running(dots):
    intrinsics = IntrinsicsFilter()
    frame, _ = next(frames(dots, 1, lambda _: TRUTH))
    frame = replace(frame, camera=TRUTH)
    assert intrinsics.update(frame).camera != TRUTH
    intrinsics.set_mode("fixed")
    assert intrinsics.update(frame).camera == TRUTH
    assert intrinsics.update(frame).state == "fixed"


def test_the_first_guess_follows_the_shape_of_the_picture():
    full = np.full((270, 480, 3), 120, np.uint8)
    assert first_guess(full).fx == pytest.approx(0.82 * 480)
    pillars = np.zeros_like(full)
    pillars[5:-5, 60:-60] = 120
    assert first_guess(pillars).fx == pytest.approx(0.82 * 360, rel=0.02)
    disc = np.zeros_like(full)
    cv2.circle(disc, (250, 130), 120, (120, 120, 120), -1)
    assert first_guess(disc).fx == pytest.approx(0.65 * 240, rel=0.02)
    assert first_guess(np.zeros_like(full)).fx == pytest.approx(0.82 * 480)
    cut = np.zeros_like(full)
    corners = [(60, 5), (420, 5), (475, 60), (475, 210), (420, 265), (60, 265), (5, 210), (5, 60)]
    cv2.fillPoly(cut, [np.array(corners)], (120, 120, 120))
    assert first_guess(cut).fx == pytest.approx(0.57 * 470, rel=0.03)
    assert first_guess(np.full((480, 640, 3), 120, np.uint8)).fx == pytest.approx(1.05 * 640)


def test_dark_corners_of_a_full_picture_are_no_round_view():
    """The lamp fades towards the corners; a board that is alone in the dark is no view either."""
    v, u = np.mgrid[:270, :480]
    away = np.hypot(u - 240, v - 135) / 275
    dim = np.clip(180 * np.exp(-3 * away**2) - 12, 0, 255).astype(np.uint8)
    assert dim[0, 0] < 12
    assert first_guess(np.repeat(dim[:, :, None], 3, axis=2)).fx == pytest.approx(0.82 * 480)
    board = np.zeros((270, 480, 3), np.uint8)
    cv2.fillPoly(board, [np.array([(120, 60), (300, 30), (330, 200), (140, 240)])], (200, 200, 200))
    assert first_guess(board).fx == pytest.approx(0.82 * 480)


def test_beliefs_are_joined_by_their_precision():
    a = LensBelief(np.zeros(3), np.full(3, 1.0))
    b = LensBelief(np.ones(3), np.full(3, 0.5))
    joined = a.joined(b)
    assert np.allclose(joined.mean, 0.8)
    assert np.allclose(joined.sigma, np.sqrt(0.2))


def watched(pixels_of) -> list:
    """What the watch says of six images of points that it knows; `pixels_of` moves their places."""
    rng = np.random.default_rng(2)
    points = np.column_stack([rng.uniform(-0.04, 0.04, (80, 2)), rng.uniform(0.05, 0.1, 80)])
    ids, lens = np.arange(80), np.array([TRUTH.fx, TRUTH.cx, TRUTH.cy])
    structure = Structure(ids, points, (), np.eye(4)[None], lens)
    watch = ZoomWatch()
    watch.remember(0, structure, LensBelief.of_camera(TRUTH, 0.01, 0.01))
    seen = TRUTH.project(points)
    images = (np.float32(pixels_of(seen, rng)) for _ in range(6))
    return [
        watch.look((10 + i) * STEP, Tracks(ids, pixels, np.full(80, 0.1), (WIDTH, HEIGHT), 0.0))
        for i, pixels in enumerate(images)
    ]


def test_points_that_grow_apart_are_a_zoom_and_points_astray_are_none():
    middle = np.array([TRUTH.cx, TRUTH.cy])
    zoomed = watched(lambda seen, rng: middle + 1.2 * (seen - middle) + rng.normal(0, 0.3, (80, 2)))
    assert zoomed[0] is None and zoomed[-1] is not None
    assert zoomed[-1].belief.mean[0] == pytest.approx(np.log(1.2 * TRUTH.fx / WIDTH), abs=0.01)
    astray = watched(lambda seen, rng: middle + 1.6 * (seen - middle) + rng.normal(0, 8, (80, 2)))
    assert astray == [None] * 6


def test_in_mode_auto_a_right_calibration_stays_and_a_wrong_one_is_found_out(dots):
    """Wrong by 20 %: another endoscope than the one that was calibrated."""
    for factor, limit in ((1.0, 1e-12), (1.2, 0.05)):
        given = replace(TRUTH, fx=factor * TRUTH.fx, fy=factor * TRUTH.fy)
        intrinsics = IntrinsicsFilter(IntrinsicsConfig("auto"))
        for frame, _ in frames(dots, 110, lambda _: TRUTH):
            estimate = intrinsics.update(replace(frame, camera=given))
        assert abs(estimate.camera.fx / TRUTH.fx - 1) < limit
        assert any("given calibration" in note for note in intrinsics.notes) == (factor != 1)
        assert (estimate.state == "given") == (factor == 1)
