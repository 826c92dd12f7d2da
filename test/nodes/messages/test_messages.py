"""Core types to ROS messages and back: exact bytes, units, frames and orders."""

import sys
import types

import numpy as np
import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.types import Cloud

pytest.importorskip("rclpy")

from sensor_msgs.msg import PointField

from endosfm3d_ros.nodes.messages import conversions
from endosfm3d_ros.nodes.messages.cloud import cloud_message

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("stamp", [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789])
def test_stamps_survive(stamp):
    assert conversions.nanoseconds(conversions.time_message(stamp)) == stamp


def test_rgb_image_bytes_are_exact():
    message = conversions.image_message(RGB, "rgb8", 5, "optical")
    assert (message.height, message.width, message.step) == (4, 6, 18)
    assert message.data.tobytes() == RGB.tobytes()
    assert message.header.frame_id == "optical" and message.header.stamp.nanosec == 5
    np.testing.assert_array_equal(conversions.image_array(message), RGB)


def test_a_strided_view_is_written_row_by_row():
    message = conversions.image_message(RGB[:, ::2], "rgb8", 0, "optical")
    np.testing.assert_array_equal(conversions.image_array(message), RGB[:, ::2])


def test_depth_image_is_32fc1_in_metres():
    depth = np.array([[0.05, np.nan], [0.1, 0.2]], np.float32)
    message = conversions.image_message(depth, "32FC1", 0, "optical")
    assert message.step == 8
    assert np.frombuffer(message.data, "<f4")[0] == np.float32(0.05)
    np.testing.assert_array_equal(conversions.depth_array(message), depth)


def test_labels_survive():
    labels = (RGB[..., 0] % 3).astype(np.uint8)
    message = conversions.image_message(labels, "mono8", 0, "optical")
    np.testing.assert_array_equal(conversions.label_array(message), labels)


def test_an_array_of_another_type_is_refused():
    with pytest.raises(InputError, match="32FC1 needs float32 with 1 channel"):
        conversions.image_message(RGB, "32FC1", 0, "optical")


def test_compressed_png_is_exact():
    message = conversions.compressed_message(RGB, "png", 0, "optical")
    assert message.format == "png"
    np.testing.assert_array_equal(conversions.compressed_array(message), RGB)


def test_short_data_is_refused():
    message = conversions.image_message(RGB, "rgb8", 0, "optical")
    message.data = message.data[:-1]
    with pytest.raises(InputError, match="71 bytes"):
        conversions.image_array(message)


@pytest.fixture
def fresh_bridge():
    conversions._cv_bridge.cache_clear()
    yield
    conversions._cv_bridge.cache_clear()


def test_other_encodings_go_through_cv_bridge(monkeypatch, fresh_bridge):
    class CvBridge:
        def imgmsg_to_cv2(self, message, encoding):
            if message.encoding != "jpeg2000":
                raise ValueError("unsupported")
            return np.full((message.height, message.width, 3), 9, np.uint8)

    fake = types.SimpleNamespace(CvBridge=CvBridge, CvBridgeError=RuntimeError)
    monkeypatch.setitem(sys.modules, "cv_bridge", fake)
    message = conversions.image_message(RGB[..., 0], "mono8", 0, "optical")
    message.encoding = "jpeg2000"
    assert (conversions.image_array(message) == 9).all()
    message.encoding = "nonsense"
    with pytest.raises(InputError, match="'nonsense': cv_bridge says unsupported"):
        conversions.image_array(message)


def test_without_cv_bridge_the_accepted_encodings_are_named(monkeypatch, fresh_bridge):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    message = conversions.image_message(RGB[..., 0], "mono8", 0, "optical")
    message.encoding = "jpeg2000"
    with pytest.raises(InputError, match="'jpeg2000': accepted are rgb8"):
        conversions.image_array(message)


def test_transform_and_pose_survive_in_xyzw_order():
    T = se3.from_vectors(np.array([0.3, -0.2, 2.5]), np.array([0.01, -0.02, 0.03]))
    message = conversions.transform_message(T, 7, "map", "optical")
    assert (message.header.frame_id, message.child_frame_id) == ("map", "optical")
    np.testing.assert_allclose(conversions.matrix_of(message.transform), T, atol=1e-15)
    np.testing.assert_allclose(conversions.matrix_of(conversions.pose_message(T)), T, atol=1e-15)
    quarter = se3.from_vectors(np.array([0, 0, np.pi / 2]), np.zeros(3))
    rotation = conversions.pose_message(quarter).orientation
    np.testing.assert_allclose(
        [rotation.x, rotation.y, rotation.z, rotation.w], [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-15
    )


def test_an_empty_quaternion_is_refused():
    message = conversions.pose_message(np.eye(4))
    message.orientation.w = 0.0
    with pytest.raises(InputError, match="quaternion that is not zero"):
        conversions.matrix_of(message)


def make_cloud(count=5):
    return Cloud(
        points=RNG.normal(size=(count, 3)).astype(np.float32),
        colors=RNG.integers(0, 256, (count, 3), dtype=np.uint8),
        normals=RNG.normal(size=(count, 3)).astype(np.float32),
        confidence=RNG.random(count).astype(np.float32),
        labels=np.arange(count, dtype=np.uint8),
    )


def test_cloud_bytes_follow_the_conventions_of_pcl():
    cloud = make_cloud()
    message = cloud_message(cloud, 3, "map")
    assert (message.height, message.width, message.point_step) == (1, 5, 36)
    assert message.row_step == len(message.data) == 180
    fields = {field.name: (field.offset, field.datatype) for field in message.fields}
    float32, uint8 = PointField.FLOAT32, PointField.UINT8
    assert fields["x"] == (0, float32) and fields["z"] == (8, float32)
    assert fields["rgb"] == (12, float32)
    assert fields["normal_x"] == (16, float32) and fields["confidence"] == (28, float32)
    assert fields["label"] == (32, uint8)
    raw = np.frombuffer(message.data, np.uint8).reshape(5, 36)
    np.testing.assert_array_equal(raw[:, :12].copy().view("<f4"), cloud.points)
    np.testing.assert_array_equal(raw[:, 14:11:-1], cloud.colors)  # little endian 0x00RRGGBB
    assert (raw[:, 15] == 0).all()
    np.testing.assert_array_equal(raw[:, 16:28].copy().view("<f4"), cloud.normals)
    np.testing.assert_array_equal(raw[:, 32], cloud.labels)
    assert message.is_dense


def test_cloud_with_an_unknown_normal_is_not_dense():
    cloud = make_cloud()
    cloud.normals[2] = np.nan
    assert not cloud_message(cloud, 0, "map").is_dense


def test_empty_cloud_is_a_valid_message():
    message = cloud_message(make_cloud(0), 0, "map")
    assert message.width == 0 and len(message.data) == 0


def test_cloud_reads_like_sensor_msgs_py():
    reader = pytest.importorskip("sensor_msgs_py.point_cloud2")
    cloud = make_cloud()
    message = cloud_message(cloud, 0, "map")
    points = reader.read_points(message)
    np.testing.assert_array_equal(points["x"], cloud.points[:, 0])
    np.testing.assert_array_equal(points["label"], cloud.labels)
    fields = [field for field in message.fields if field.name in ("x", "y", "z")]
    own = np.frombuffer(message.data, np.uint8).reshape(5, 36)[:, :12]
    theirs = reader.create_cloud(message.header, fields, cloud.points)
    assert own.tobytes() == bytes(theirs.data)


@pytest.mark.parametrize(
    "encoding,channels", [("rgb8", 3), ("bgr8", 3), ("bgra8", 4), ("mono8", 1)]
)
def test_own_decoding_equals_cv_bridge(encoding, channels):
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is not installed").CvBridge()
    shape = (12, 17, channels) if channels > 1 else (12, 17)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    message = bridge.cv2_to_imgmsg(pixels, encoding)
    own = conversions.image_array(message)
    assert np.array_equal(own, bridge.imgmsg_to_cv2(message, "rgb8"))
