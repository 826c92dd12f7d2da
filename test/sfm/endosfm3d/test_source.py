"""The source on stub networks: sizes, invalid pixels, direction of motion, memory of frames."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D, EndoSfM3DConfig
from endosfm3d_ros.types import Frame, ScaleSource

CAMERA = PinholeCamera.default(160, 128)
Q = (0.3, 0.5, 0.0, 0.0)  # fx 0.8 W, fy 1.0 H, centred
STILL = ((0, 0, 0), (0, 0, 0), Q)


def ramp(image):
    """Depth 5..20 over the columns."""
    return np.broadcast_to(np.linspace(5, 20, image.shape[1]), image.shape[:2]).copy()


def frames(images, period=33_000_000):
    return [Frame(stamp=i * period, image=image) for i, image in enumerate(images)]


def test_depth_has_the_size_of_the_image_and_its_values(depth_engine, texture):
    depth = EndoSfM3D(depth_engine(ramp)).depth(texture)
    assert depth.depth.shape == depth.confidence.shape == (128, 160)
    assert depth.depth.dtype == depth.confidence.dtype == np.float32
    np.testing.assert_allclose(depth.depth[:, [0, -1]], [[5, 20]] * 128, rtol=1e-3)
    assert depth.invalid_share == 0


def test_depth_map_is_relative_and_of_the_given_camera(depth_engine, texture):
    source = EndoSfM3D(depth_engine(ramp))
    lens = PinholeCamera.from_matrix(CAMERA.K, 160, 128, (0.1, 0, 0, 0))
    result = source.estimate(Frame(stamp=7, image=texture), lens)
    assert (result.source, result.scale, result.stamp) == ("endosfm3d", ScaleSource.RELATIVE, 7)
    assert result.camera == lens.undistorted()
    assert result.coverage == 1


def test_answers_that_are_no_depth_become_nan(depth_engine, texture):
    def broken(image):
        depth = ramp(image)
        depth[:16, :20] = np.nan
        depth[40, 40] = -1.0  # no logit leads to a negative depth: NaN
        return depth

    with np.errstate(invalid="ignore"):
        result = EndoSfM3D(depth_engine(broken)).depth(texture)
    assert np.isnan(result.depth[:28, :36]).all()
    assert np.isnan(result.depth[81, 81])
    assert np.isfinite(result.depth[96:]).all()
    assert (result.depth[np.isfinite(result.depth)] > 0).all()
    assert result.confidence[np.isnan(result.depth)].max() == 0
    assert 0.05 < result.invalid_share < 0.1


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_saturated_images_are_not_believed(depth_engine, value):
    image = np.full((128, 160, 3), value, np.uint8)
    assert EndoSfM3D(depth_engine(ramp)).depth(image).confidence.max() == 0


def test_confidence_is_between_0_and_1_and_high_on_plain_tissue(depth_engine, texture):
    confidence = EndoSfM3D(depth_engine(ramp)).depth(texture).confidence
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert np.median(confidence) > 0.9


def shift_reader(first, second):
    """Reads the motion that a plane at depth 1 shows, as the network was trained to.

    Content of the first image (camera f) that lies `shift` pixels right of that of the second
    (camera 0) means X_f = X_0 + shift / fx along x.
    """
    import cv2

    grey = [np.ascontiguousarray(image.mean(axis=2), np.float64) for image in (second, first)]
    (shift, _), _ = cv2.phaseCorrelate(*grey)
    fx = 0.8 * first.shape[1]
    return (0, 0, 0), (shift / fx, 0, 0), Q


def test_motion_maps_points_of_the_previous_camera_into_the_current(
    depth_engine, pose_engine, texture
):
    """The camera moves right by 4 px of a plane at depth 1: its content moves left."""
    source = EndoSfM3D(depth_engine(ramp), pose_engine(shift_reader))
    moved = np.roll(texture, -8, axis=1)  # 8 px of 160 are 4 px of 80
    T = source.motion(previous=texture, current=moved).T_current_previous
    fx = 0.8 * 80
    np.testing.assert_allclose(T, se3.from_vectors([0, 0, 0], [-4 / fx, 0, 0]), atol=2e-3)
    point = np.array([[0.1, 0.0, 1.0]])  # in the previous camera
    camera = PinholeCamera(80, 64, fx, fx, 39.5, 31.5)
    before, after = camera.project(point), camera.project(se3.transform(T, point))
    np.testing.assert_allclose(after - before, [[-4, 0]], atol=0.1)


def test_prior_of_a_stream_has_the_same_direction(depth_engine, pose_engine, texture):
    source = EndoSfM3D(depth_engine(ramp), pose_engine(shift_reader))
    first, second = frames([texture, np.roll(texture, -8, axis=1)])
    assert source.motion_prior(first) is None
    T, observation = source.motion_prior(second)
    assert T[0, 3] == pytest.approx(-4 / 64, abs=2e-3)
    assert observation.stamp == second.stamp


def test_camera_is_given_at_the_size_of_the_image(depth_engine, pose_engine, texture):
    source = EndoSfM3D(depth_engine(ramp), pose_engine(lambda *_: STILL))
    camera = source.motion(texture, texture).camera
    assert camera.size == (160, 128)
    assert (camera.fx, camera.fy) == pytest.approx((0.8 * 160, 128), rel=1e-5)
    # 40 of 80 px is 0.5 px right of the middle of the small image, hence 1 px in the large one
    assert (camera.cx, camera.cy) == pytest.approx((80.5, 64.5), abs=1e-4)


def test_an_implausible_camera_leaves_the_motion(depth_engine, pose_engine, texture):
    answer = ((0, 0, 0), (0.1, 0, 0), (9.0, 0.5, 0, 0))
    source = EndoSfM3D(depth_engine(ramp), pose_engine(lambda *_: answer))
    motion = source.motion(texture, texture)
    assert motion.camera is None
    assert motion.T_current_previous[0, 3] == pytest.approx(0.1)
    source.motion_prior(frames([texture])[0])
    T, observation = source.motion_prior(Frame(stamp=9, image=texture))
    assert observation is None
    assert T.shape == (4, 4)


@pytest.mark.parametrize("broken", [0, 1])
def test_motion_that_is_no_number_is_none(depth_engine, pose_engine, texture, broken):
    answer = [list(part) for part in STILL]
    answer[broken][1] = np.nan
    source = EndoSfM3D(depth_engine(ramp), pose_engine(lambda *_: answer))
    assert source.motion(texture, texture) is None


def test_without_pose_weights_there_is_no_motion(depth_engine, texture):
    source = EndoSfM3D(depth_engine(ramp))
    with pytest.raises(ConfigurationError, match=r"pose\.pth"):
        source.motion(texture, texture)
    for frame in frames([texture] * 3):
        source.estimate(frame, CAMERA)
        assert source.motion_prior(frame) is None


def test_each_network_runs_once_a_frame(depth_engine, pose_engine, texture):
    depth, pose = depth_engine(ramp), pose_engine(lambda *_: STILL)
    source = EndoSfM3D(depth, pose)
    for frame in frames([texture] * 4):
        source.motion_prior(frame)
        source.estimate(frame, CAMERA)
        source.motion_prior(frame)
    assert (depth.runs, pose.runs) == (4, 3)


def test_pose_every_third_frame_still_compares_neighbours(depth_engine, pose_engine, texture):
    pairs = []

    def record(first, second):
        pairs.append((round(255 * float(first.max())), round(255 * float(second.max()))))
        return STILL

    config = EndoSfM3DConfig(pose_every=3)
    source = EndoSfM3D(depth_engine(ramp), pose_engine(record), config)
    priors = []
    for frame in frames([np.full((128, 160, 3), 100 + i, np.uint8) for i in range(8)]):
        source.estimate(frame, CAMERA)
        priors.append(source.motion_prior(frame) is not None)
    assert pairs == [(103, 102), (106, 105)]
    assert priors == [i in (3, 6) for i in range(8)]


def test_who_asks_first_does_not_decide_which_image_is_looked_at(depth_engine, pose_engine):
    pairs = []

    def record(first, second):
        pairs.append((round(255 * float(first.max())), round(255 * float(second.max()))))
        return STILL

    source = EndoSfM3D(depth_engine(ramp), pose_engine(record))
    for stamp in range(3):
        bent, straight = (np.full((128, 160, 3), grey + stamp, np.uint8) for grey in (50, 100))
        source.motion_prior(Frame(stamp, bent))
        source.estimate(Frame(stamp, straight), CAMERA)
    assert pairs[1] == (101, 100)
    assert pairs[-1] == (102, 101)


def test_a_stamp_that_goes_back_starts_anew(depth_engine, pose_engine, texture):
    source = EndoSfM3D(depth_engine(ramp), pose_engine(lambda *_: STILL))
    first, second = frames([texture] * 2)
    for frame in (first, second):
        source.estimate(frame, CAMERA)
    source.estimate(first, CAMERA)  # the bag loops
    assert source.motion_prior(first) is None
    assert source.motion_prior(second) is not None


def test_reset_forgets_the_previous_frame(depth_engine, pose_engine, texture):
    source = EndoSfM3D(depth_engine(ramp), pose_engine(lambda *_: STILL))
    first, second = frames([texture] * 2)
    source.estimate(first, CAMERA)
    source.reset()
    assert source.motion_prior(second) is None


def test_depth_that_jumped_since_the_last_frame_is_doubted(depth_engine, pose_engine, texture):
    jumped = []

    def depth(image):
        result = np.full(image.shape[:2], 10.0)
        if jumped:
            result[20:40, 20:40] = 15.0
        jumped.append(True)
        return result

    source = EndoSfM3D(depth_engine(depth), pose_engine(lambda *_: STILL))
    before, after = (source.estimate(frame, CAMERA).confidence for frame in frames([texture] * 2))
    assert before[50:70, 50:70].min() > 0.9
    assert after[50:70, 50:70].max() < 0.2
    assert after[100:].min() > 0.9


def test_another_image_size_in_the_stream_is_no_problem(depth_engine, pose_engine, texture):
    source = EndoSfM3D(depth_engine(ramp), pose_engine(lambda *_: STILL))
    source.estimate(Frame(stamp=0, image=texture), CAMERA)
    small = np.ascontiguousarray(texture[::2, ::2])
    result = source.estimate(Frame(stamp=1, image=small), CAMERA.resized(80, 64))
    assert result.depth.shape == (64, 80)
    _, observation = source.motion_prior(Frame(stamp=1, image=small))
    assert observation.camera.size == (80, 64)


def test_rejected_input(depth_engine, texture):
    source = EndoSfM3D(depth_engine(ramp))
    with pytest.raises(InputError, match="uint8"):
        source.estimate(Frame(stamp=0, image=texture.astype(np.float32)), CAMERA)
    with pytest.raises(ConfigurationError, match="pose_every 0"):
        EndoSfM3DConfig(pose_every=0)
