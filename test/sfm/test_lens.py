"""Which lens took the image: decided once, whatever calibration comes along with a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.sfm.depth.source import DepthSource, IntrinsicsObservation
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D
from endosfm3d_ros.sfm.estimator import Estimator
from endosfm3d_ros.sfm.scale.normaliser import ScaleConfig
from endosfm3d_ros.types import DepthMap, Frame, ScaleSource, SceneUpdate, TrackingState

BEND = (-0.3, 0.1, 0.001, -0.001)
INNER = np.s_[30:-30, 30:-30]


class Clip:
    """A moving stereo camera whose lenses bend, in a scene that stands still."""

    def __init__(self, frames: int) -> None:
        self.sequence = SimulatedSequence("moving", frames=frames, width=320, height=256, fps=10)
        self.pinhole = self.sequence.camera
        self.lens = replace(self.pinhole, distortion=BEND)
        self.frames = [self._bent(frame, i) for i, frame in enumerate(self.sequence)]

    def depth(self, i: int) -> np.ndarray:
        """(H, W) metres as the pinhole sees it."""
        return self.sequence.reference_depth(i).astype(np.float32)

    def _bent(self, frame: Frame, i: int) -> Frame:
        pair = frame.stereo
        left, right = (replace(eye, distortion=BEND) for eye in (pair.left, pair.right))
        return replace(
            frame,
            image=bent(frame.image, left),
            right_image=bent(frame.right_image, right),
            depth=bent(self.depth(i), left, cv2.INTER_NEAREST),
            camera=left,
            stereo=replace(pair, left=left, right=right),
        )


def bent(image: np.ndarray, lens: PinholeCamera, way: int = cv2.INTER_CUBIC) -> np.ndarray:
    """What a lens makes of the image of a pinhole."""
    rays = lens.rays().reshape(-1, 3)
    u, v = lens.undistorted().project(rays).astype(np.float32).T
    size = lens.height, lens.width
    return cv2.remap(image, u.reshape(size), v.reshape(size), way, None, cv2.BORDER_REPLICATE)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip(8)


def run(frames: list[Frame], config: EstimatorConfig) -> Iterator[SceneUpdate]:
    estimator = Estimator(config)
    for frame in frames:
        yield estimator.estimate(frame, StageClock())


def given(mode: str, **more) -> EstimatorConfig:
    return EstimatorConfig("topic", intrinsics=IntrinsicsConfig(mode), **more)


def without_pair(frame: Frame) -> Frame:
    return replace(frame, right_image=None, stereo=None)


@pytest.mark.parametrize("mode", ["fixed", "prior"])
def test_one_eye_is_straightened_once_although_both_calibrations_come(clip, mode):
    """The pair is there for its scale, or by chance: the image of one eye is one of a pinhole."""
    truth = [clip.sequence.reference_pose(i) for i in range(len(clip.frames))]
    # a prior may move the focal length, and with it the scene: only the fixed one is exact
    most = 2e-4 if mode == "fixed" else 1e-3
    for i, update in enumerate(run(clip.frames, given(mode))):
        assert update.lens.distortion == BEND and not update.depth.camera.distorted
        straight = np.abs(update.image.astype(int) - clip.sequence[i].image)[INNER]
        assert straight.mean() < 3
        off = np.abs(update.depth.depth / clip.depth(i) - 1)[INNER]
        assert np.nanmedian(off) < 0.01
        assert update.pose.state == TrackingState.TRACKING
        error = se3.inverse(truth[0] @ update.pose.T_odom_camera) @ truth[i]
        assert np.linalg.norm(error[:3, 3]) < most


@pytest.mark.parametrize("mode", ["estimate", "prior", "fixed"])
def test_a_pair_that_is_not_used_changes_nothing(clip, mode):
    with_pair, alone = (
        list(run(frames, given(mode)))
        for frames in (clip.frames, [without_pair(frame) for frame in clip.frames])
    )
    for one, other in zip(with_pair, alone):
        assert np.array_equal(one.pose.T_odom_camera, other.pose.T_odom_camera)
        assert one.lens == other.lens and one.intrinsics.camera == other.intrinsics.camera


def test_in_mode_estimate_no_calibration_is_read_and_none_is_named(clip):
    estimator = Estimator(given("estimate"))
    for frame in clip.frames:
        update = estimator.estimate(frame, StageClock())
    assert not update.lens.distorted
    assert np.array_equal(update.image, frame.image)
    assert estimator.k_seen_by() == ""


def test_the_calibration_is_named_only_where_there_is_one(clip):
    estimator = Estimator(given("prior"))
    estimator.estimate(replace(without_pair(clip.frames[0]), camera=None), StageClock())
    assert estimator.k_seen_by() == ""
    estimator.estimate(clip.frames[1], StageClock())
    assert estimator.k_seen_by() == "intrinsics"


class ExactOneEye(DepthSource):
    """True depth in a unit of its own, through the lens that is believed in."""

    name, takes_raw = "shading", False

    def __init__(self, clip: Clip) -> None:
        self._clip = clip

    def reset(self) -> None:
        """Nothing is kept."""

    def lens(self, frame: Frame, believed: PinholeCamera) -> PinholeCamera:
        return believed

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        i = next(i for i, known in enumerate(self._clip.frames) if known.stamp == frame.stamp)
        truth = self._clip.depth(i)
        if not camera.distorted:  # the image is as bent as it came
            truth = bent(truth, self._clip.lens, cv2.INTER_NEAREST)
        depth = truth * np.float32(3 * camera.fx / self._clip.lens.fx)
        ones = np.ones_like(depth)
        return DepthMap(
            depth, ones, camera.undistorted(), self.name, ScaleSource.RELATIVE, frame.stamp
        )


@pytest.mark.parametrize("mode", ["estimate", "prior", "fixed"])
def test_the_scale_of_one_eye_comes_from_the_pair_as_the_lenses_saw_it(clip, mode):
    config = EstimatorConfig(
        "shading", scale=ScaleConfig("stereo"), intrinsics=IntrinsicsConfig(mode)
    )
    estimator = Estimator(config)
    estimator.source = ExactOneEye(clip)
    for frame in clip.frames:
        update = estimator.estimate(frame, StageClock())
    assert update.depth.scale == ScaleSource.STEREO
    truth = clip.depth(len(clip.frames) - 1)
    if mode == "estimate":
        truth = bent(truth, clip.lens, cv2.INTER_NEAREST) * update.depth.camera.fx / clip.lens.fx
    ratio = np.log(update.depth.depth / truth)[INNER]
    assert abs(np.nanmedian(ratio)) < 0.01
    assert estimator.k_seen_by() == ("scale" if mode == "estimate" else "intrinsics,scale")


def test_both_eyes_are_matched_raw_and_looked_at_straight(clip):
    frames = [replace(frame, depth=None) for frame in clip.frames]
    truth = [clip.sequence.reference_pose(i) for i in range(len(frames))]
    for i, update in enumerate(run(frames, EstimatorConfig("stereo"))):
        assert update.lens == frames[i].stereo.left
        straight = np.abs(update.image.astype(int) - clip.sequence[i].image)[INNER]
        assert straight.mean() < 3
        error = se3.inverse(truth[0] @ update.pose.T_odom_camera) @ truth[i]
        assert np.linalg.norm(error[:3, 3]) < 4e-4


def test_a_lens_that_is_read_from_now_on_does_not_move_the_camera(clip):
    """The images of mode `fixed` are straight, those before it were not: no key frame is shared."""
    estimator = Estimator(given("estimate"))
    poses = []
    for i, frame in enumerate(clip.frames):
        if i == 4:
            estimator.set_intrinsics_mode("fixed")
        poses.append(estimator.estimate(frame, StageClock()).pose)
    assert all(pose.state == TrackingState.TRACKING for pose in poses)
    step = se3.inverse(poses[3].T_odom_camera) @ poses[4].T_odom_camera
    assert np.linalg.norm(step[:3, 3]) < 1e-4 and se3.rotation_angle(step) < 1e-3  # held
    truth = [clip.sequence.reference_pose(i) for i in range(len(clip.frames))]
    for i in range(5, len(poses)):
        moved = se3.inverse(poses[4].T_odom_camera) @ poses[i].T_odom_camera
        error = se3.inverse(se3.inverse(truth[4]) @ truth[i]) @ moved
        assert np.linalg.norm(error[:3, 3]) < 2e-4


class Networks(EndoSfM3D):
    """Takes note of the images that it is asked about; no engine runs."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    engines, notes = (), []

    def reset(self) -> None:
        """Nothing is kept."""

    def motion_prior(self, frame, known=None):
        self.asked.append(frame.image)
        camera = PinholeCamera.default(*frame.image.shape[1::-1])
        return np.eye(4), IntrinsicsObservation(camera, frame.stamp)

    def estimate(self, frame, camera):
        self.asked.append(frame.image)
        depth = np.full(frame.image.shape[:2], 0.05, np.float32)
        ones = np.ones_like(depth)
        return DepthMap(
            depth, ones, camera.undistorted(), self.name, ScaleSource.RELATIVE, frame.stamp
        )


def test_both_networks_look_at_the_same_straight_image_and_their_answer_travels(clip):
    estimator = Estimator(EstimatorConfig("shading", intrinsics=IntrinsicsConfig("fixed")))
    estimator.source = networks = Networks()
    update = estimator.estimate(without_pair(clip.frames[0]), StageClock())
    first, second = networks.asked
    assert first is second
    assert np.abs(first.astype(int) - clip.sequence[0].image)[INNER].mean() < 3
    assert np.array_equal(update.motion_prior.T_current_previous, np.eye(4))
    assert update.motion_prior.camera == PinholeCamera.default(320, 256)
