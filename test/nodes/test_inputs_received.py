"""What the receiver makes of inputs that come late, under other types, or not at all; over DDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TransformStamped
from live_stage import PATIENCE, Stage, Stream
from plane_scene import Plane, Rig, compressed_message, eyes, infos, raw_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.compressed import encode_compressed
from endosfm3d_ros.nodes.messages.conversions import time_message

START, STEP = 100 * 10**9, 10**8
CAMERA = PinholeCamera(160, 128, 140.0, 140.0, 79.0, 65.0)
RIG = Rig(CAMERA, CAMERA)
LABELS = np.zeros((128, 160), np.uint8)
LABELS[:40], LABELS[60:90] = 1, 3
PAIR = {"image_raw": Image, "right/image_raw": Image}
INFOS = {"camera_info": CameraInfo, "right/camera_info": CameraInfo}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.fixture
def listen(stage) -> Iterator[Callable[..., Stream]]:
    """A stream whose topics are heard."""
    made = []

    def start(topics: dict[str, type], remaps: dict[str, str] | None = None) -> Stream:
        made.append(Stream(stage, topics, remaps or {}))
        assert made[-1].until(lambda: made[-1].connected)
        return made[-1]

    yield start
    for stream in made:
        stream.close()


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    return eyes(RIG, Plane(0.04), rectified=False)


class Sender:
    """A camera whose clock runs on with every picture, and whose pictures never stand still."""

    def __init__(self, stream: Stream, pictures: tuple[np.ndarray, np.ndarray]) -> None:
        self.stream, self.stamp, self.pictures = stream, START, pictures

    def send(self, right: bool = True) -> None:
        self.stamp += STEP
        moved = (self.stamp - START) // STEP
        for topic, picture in reversed(list(zip(PAIR, self.pictures))):
            if right or topic == "image_raw":
                plain = raw_message(np.roll(picture, moved, axis=1), "rgb8")
                self.stream.publish(topic, plain, self.stamp)
        self.stream.until(lambda: False, 0.05)

    def send_until(self, condition: Callable[[], bool], right: bool = True) -> bool:
        end = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < end:
            self.send(right)
        return condition()


def test_a_calibration_that_comes_after_many_images_begins_a_metric_scene(listen, pictures):
    """One eye for more than the second that images wait, then both."""
    stream = listen(PAIR | INFOS)
    sender = Sender(stream, pictures)
    assert sender.send_until(lambda: len(stream.frames) > 2)
    assert stream.frames[-1].camera is None and stream.frames[-1].stereo is None

    def calibrated() -> bool:
        for topic, info in zip(INFOS, infos(RIG)):
            stream.publish(topic, info, sender.stamp)
        return stream.frames[-1].stereo is not None

    assert sender.send_until(calibrated)
    assert stream.better == ["metric depth has become available"]
    assert stream.frames[-1].stereo.baseline == pytest.approx(RIG.baseline)
    assert stream.frames[-1].right_image is not None


def test_a_pair_without_the_right_calibration_is_one_eye_and_says_so(listen, pictures):
    """Nobody publishes it under any name: silence would look like a choice."""
    stream = listen(PAIR | {"camera_info": CameraInfo})
    stream.publish("camera_info", infos(RIG)[0], START)
    sender = Sender(stream, pictures)
    assert sender.send_until(lambda: stream.said("nothing on"))
    assert stream.said("right/camera_info") and stream.frames[-1].stereo is None


@pytest.mark.parametrize("kind", [PoseStamped, TransformStamped])
def test_the_pose_of_the_endoscope_comes_in_either_type(listen, pictures, kind):
    """measured_cp of a dVRK: TransformStamped until CRTK, PoseStamped since."""
    stream = listen({"image_raw": Image, "endoscope_pose": kind})
    pose = kind()
    pose.header.stamp = time_message(START + STEP)
    value = pose.pose if kind is PoseStamped else pose.transform
    place = value.position if kind is PoseStamped else value.translation
    turn = value.orientation if kind is PoseStamped else value.rotation
    place.x, place.y, place.z = 0.1, -0.2, 0.3
    turn.w, turn.z = np.cos(0.25), np.sin(0.25)
    stream.send("endoscope_pose", pose)
    stream.until(lambda: False, 0.2)
    sender = Sender(stream, pictures)
    sender.send(right=False)
    assert stream.until(lambda: stream.frames)
    T = stream.frames[0].pose
    np.testing.assert_allclose(T[:3, 3], (0.1, -0.2, 0.3))
    np.testing.assert_allclose(T[:2, 0], (np.cos(0.5), np.sin(0.5)), atol=1e-12)


@pytest.mark.parametrize("encoding", ["32SC1", "16UC1", "bgra8", "png"])
def test_masks_of_any_integer_encoding_arrive_as_their_labels(listen, pictures, encoding):
    packed = encoding == "png"
    name = "tool_mask/compressed" if packed else "tool_mask"
    stream = listen({"image_raw": Image, name: CompressedImage if packed else Image})
    stream.publish(name, mask(encoding), START + STEP)
    stream.until(lambda: False, 0.2)
    Sender(stream, pictures).send(right=False)
    assert stream.until(lambda: stream.frames)
    np.testing.assert_array_equal(stream.frames[0].tool_labels, LABELS)


def mask(encoding: str) -> SimpleNamespace:
    """The labels in an encoding; integers of several bytes are big-endian."""
    if encoding == "png":
        return compressed_message(encode_compressed(LABELS, "png"), "mono8; png compressed ")
    kinds = {"32SC1": ">i4", "16UC1": ">u2"}
    if encoding not in kinds:
        return raw_message(np.repeat(LABELS[..., None], 3, axis=-1), encoding)
    values = LABELS.astype(kinds[encoding])
    return SimpleNamespace(
        height=128, width=160, encoding=encoding, step=values.strides[0], is_bigendian=1,
        data=np.frombuffer(values.tobytes(), np.uint8),
    )  # fmt: skip


def test_a_clock_that_stands_still_is_counted_and_not_taken_for_a_stream(listen, pictures):
    """Every image with the stamp of the first: one is one moment, the others are repeated."""
    stream = listen({"image_raw": Image})
    message = raw_message(pictures[0], "rgb8")
    for _ in range(5):
        stream.publish("image_raw", message, START)
    assert stream.until(lambda: stream.rejected["repeated stamp"] == 4)
    assert len(stream.frames) == 1
