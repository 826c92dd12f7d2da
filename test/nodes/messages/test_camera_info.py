"""CameraInfo: absent, damaged, cropped, rescaled, and both eyes as one geometry."""

from types import SimpleNamespace

import numpy as np
import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.cameras import camera_from_info, stereo_from_infos

CAMERA = PinholeCamera(640, 512, 511.7, 511.6, 297.9, 255.3, (0.1, -0.2, 0.0, 0.0, 0.3))


def info(camera=CAMERA, translation=0.0, **changes):
    P = np.column_stack([camera.K, [translation, 0.0, 0.0]])
    fields = {
        "width": camera.width,
        "height": camera.height,
        "distortion_model": camera.distortion_model,
        "d": list(camera.distortion),
        "k": camera.K.ravel(),
        "r": np.eye(3).ravel(),
        "p": P.ravel(),
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_camera_survives():
    assert camera_from_info(info()) == CAMERA


def test_zero_k_means_absent():
    assert camera_from_info(info(k=np.zeros(9))) is None
    assert stereo_from_infos(info(), info(k=np.zeros(9))) is None


def test_all_zero_coefficients_mean_no_distortion():
    assert camera_from_info(info(d=[0.0] * 5)).distortion == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"k": np.full(9, np.nan)}, "camera_info K .*all values must be finite"),
        ({"d": [0.1, np.nan, 0, 0, 0]}, "camera_info D .*all values must be finite"),
        ({"d": [0.1, 0.2, 0.3]}, "3 distortion coefficients: 0, 4, 5, 8, 12 or 14"),
        ({"distortion_model": "division"}, "'division': accepted are plumb_bob"),
        ({"width": 0}, "camera_info size 0x512"),
    ],
)
def test_damaged_values_are_one_sentence(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        camera_from_info(info(**changes))


def test_image_of_another_size_rescales_about_pixel_centres():
    half = camera_from_info(info(), (320, 256))
    expected = CAMERA.resized(320, 256)
    np.testing.assert_allclose(half.K, expected.K, rtol=1e-12)
    assert half.size == (320, 256)
    with pytest.raises(InputError, match="640x512 for an image of 640x480"):
        camera_from_info(info(), (640, 480))


def test_region_of_interest_then_binning():
    roi = SimpleNamespace(x_offset=40, y_offset=20, width=400, height=300)
    camera = camera_from_info(info(roi=roi, binning_x=2, binning_y=2))
    expected = CAMERA.cropped(40, 20, 400, 300).resized(200, 150)
    np.testing.assert_allclose(camera.K, expected.K, rtol=1e-12)
    assert camera.size == (200, 150)


def test_pair_carries_the_baseline_at_every_size():
    pair = stereo_from_infos(info(), info(translation=-CAMERA.fx * 0.00413))
    assert pair.baseline == pytest.approx(0.00413, rel=1e-12)
    small = stereo_from_infos(info(), info(translation=-CAMERA.fx * 0.00413), (320, 256))
    assert small.baseline == pytest.approx(0.00413, rel=1e-12)
    assert small.left.width == 320


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "stereo baseline -?0 m"),
        ({"translation": 2.0}, "stereo baseline -0.0039"),
        ({"p": np.zeros(12)}, "P has focal lengths 0, 0"),
        ({"p": np.full(12, np.nan)}, "camera_info P .*finite"),
        ({"r": np.full(9, 0.5), "translation": -2.0}, "is no rotation"),
    ],
)
def test_pairs_that_are_none(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        stereo_from_infos(info(), info(**changes))


def test_an_empty_r_means_identity():
    pair = stereo_from_infos(info(r=np.zeros(9)), info(translation=-2.0, r=np.zeros(9)))
    np.testing.assert_array_equal(pair.R_left, np.eye(3))


def test_ros_message_survives_with_its_rectification():
    pytest.importorskip("rclpy")
    from endosfm3d_ros.geometry import se3
    from endosfm3d_ros.nodes.messages.conversions import camera_info_message

    R = se3.from_vectors(np.array([0.01, 0.02, -0.03]), np.zeros(3))[:3, :3]
    P = np.column_stack([CAMERA.K, [-2.1, 0, 0]])
    left = camera_info_message(CAMERA, 0, "left")
    right = camera_info_message(CAMERA, 0, "right", R, P)
    pair = stereo_from_infos(left, right)
    assert pair.left == CAMERA and pair.right == CAMERA
    np.testing.assert_array_equal(pair.R_right, R)
    np.testing.assert_array_equal(pair.P_right, P)
    np.testing.assert_array_equal(pair.P_left[:, :3], CAMERA.K)
    assert left.distortion_model == "plumb_bob" and len(left.d) == 5
