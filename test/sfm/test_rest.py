"""A camera that stands still, whatever moves before it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.tracking.rest import RestConfig, RestWatch
from endosfm3d_ros.types import CameraPose, Frame, TrackingState

STEP = 100_000_000  # ns
SIZE = (256, 320)


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(400, 500)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 60 * smooth / smooth.std(), 20, 220).astype(np.uint8)


def frames(texture, shift, still=lambda u, v: np.zeros(u.shape, bool), count=12):
    """(frame, grey) of a picture that slides by `shift(i)` px except where `still` holds."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    for i in range(count):
        moved = np.where(still(u, v), 0, shift(i)).astype(np.float32)
        grey = cv2.remap(texture, u + 50 + moved, v + 50, cv2.INTER_LINEAR)
        image = np.repeat(grey[:, :, None], 3, axis=2)
        yield Frame(STEP * i, image), grey


def border(u, v):
    return (abs(u - 160) > 90) | (abs(v - 128) > 70)


def pose_at(x: float) -> CameraPose:
    T = se3.from_vectors(np.zeros(3), np.array([x, 0, 0]))
    return CameraPose(T, np.eye(4), 1e-8 * np.eye(6), TrackingState.TRACKING, 100)


def played(pictures, poses, distance=0.05):
    """Held poses along x, and the watch after them."""
    watch, xs = RestWatch(), []
    for (frame, grey), pose in zip(pictures, poses):
        watch.look(frame, grey)
        xs.append(watch.held(pose, distance).T_map_camera[0, 3])
    return np.array(xs), watch


def test_a_camera_rests_while_the_border_of_the_picture_stays(texture):
    pulled = frames(texture, lambda i: 2.0 * i, border)
    xs, watch = played(pulled, [pose_at(1e-3 * i) for i in range(12)])
    assert watch.resting
    np.testing.assert_allclose(xs[6:], 0, atol=1e-12)


def test_a_camera_that_moves_never_rests(texture):
    xs, watch = played(frames(texture, lambda i: 1.0 * i), [pose_at(1e-3 * i) for i in range(12)])
    assert not watch.resting
    np.testing.assert_allclose(xs, 1e-3 * np.arange(12), atol=1e-12)


def test_a_resting_patch_in_one_corner_is_no_rest(texture):
    _, watch = played(
        frames(texture, lambda i: 2.0 * i, lambda u, v: (u < 150) & (v < 100)),
        [pose_at(1e-3 * i) for i in range(12)],
    )
    assert not watch.resting


def test_what_a_pose_strayed_at_rest_is_not_kept_when_the_camera_moves_on(texture):
    """At rest for ten frames while the pose strays by 9 mm; then 1 mm to the right in each."""

    def shift(i):
        return 0.0 if i < 10 else 3.0 * (i - 9)

    poses = [pose_at(1e-3 * i) for i in range(16)]
    xs, watch = played(frames(texture, shift, count=16), poses)
    assert not watch.resting
    np.testing.assert_allclose(np.diff(xs[12:]), 1e-3, atol=1e-9)
    assert xs[-1] < 7e-3


def test_a_pose_that_strayed_little_is_taken_up_again(texture):
    def shift(i):
        return 0.0 if i < 10 else 3.0 * (i - 9)

    poses = [pose_at(1e-5 * (i == 9) + 1e-3 * max(0, i - 9)) for i in range(16)]
    xs, _ = played(frames(texture, shift, count=16), poses)
    assert xs[9] == 0 and xs[-1] == pytest.approx(6e-3, abs=1e-12)


def test_a_world_that_grows_carries_a_resting_camera_along(texture):
    watch = RestWatch()
    pictures = frames(texture, lambda i: 0.0)
    for (frame, grey), _ in zip(pictures, range(9)):
        watch.look(frame, grey)
        watch.held(pose_at(0.01), 0.05)
    watch.rescale(2.0)
    assert watch.held(pose_at(0.021), 0.1).T_map_camera[0, 3] == pytest.approx(0.02)


def test_a_lost_pose_is_no_anchor(texture):
    watch = RestWatch(replace(RestConfig(), seconds=0.3))
    for frame, grey in frames(texture, lambda i: 0.0, count=8):
        watch.look(frame, grey)
        lost = replace(pose_at(0.01), state=TrackingState.LOST)
        assert watch.held(lost, 0.05).state == TrackingState.LOST
    assert watch.held(pose_at(0.03), 0.05).T_map_camera[0, 3] == pytest.approx(0.03)


def test_a_picture_that_is_as_it_was_at_rest_brings_the_camera_back(texture):
    """All tissue heaves as one for a second and falls back; the pose that followed it strayed."""

    def shift(i):
        return 4.0 * np.sin(np.pi * (i - 8) / 10) if 8 <= i <= 18 else 0.0

    poses = [pose_at(2e-4 * max(0, i - 8)) for i in range(26)]
    xs, watch = played(frames(texture, shift, count=26), poses)
    assert watch.resting
    assert xs[13] > 5e-4
    np.testing.assert_allclose(xs[-4:], 0, atol=1e-12)
