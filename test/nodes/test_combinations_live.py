"""The generated pairs and depth images over DDS: right to 1 %, or refused.

A camera in one DDS participant publishes, and the receiver of the node listens in another, a
namespace for each stream. Depth is estimated here, so that one process serves them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
from combinations import (
    FEW,
    FILES,
    Case,
    cases,
    error_of,
    estimated,
    few_or_all,
    generated,
    message_of,
    require_right,
    tally,
)
from depth_combinations import DepthCase, depth_cases, depth_error, require_right_depth
from plane_scene import raw_message
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.nodes.health.health import Health
from endosfm3d_ros.nodes.inputs.receiver import FrameReceiver
from endosfm3d_ros.nodes.messages.conversions import byte_array, time_message
from endosfm3d_ros.nodes.node import parameters
from endosfm3d_ros.nodes.system.guard import Guard
from endosfm3d_ros.types import Frame

START, STEP = 100 * 10**9, 10**8
PATIENCE = 20.0  # s for what comes in milliseconds on a machine that does nothing else
AT_ONCE = 20  # streams
EYES = ("left", "right")
LOOKS = 3  # frames of one eye after which a pair is refused


class Stage:
    """Two participants: where the camera publishes, and where the receiver listens."""

    def __init__(self) -> None:
        self.ours, self.theirs = rclpy.Context(), rclpy.Context()
        rclpy.init(args=[], context=self.ours)
        rclpy.init(args=[], context=self.theirs)
        self.camera = rclpy.create_node("camera", context=self.theirs)
        self.count = 0
        node = rclpy.create_node("settings", context=self.ours)
        parameters.declare(node)
        self.values = parameters.values_of(node)
        node.destroy_node()

    def close(self) -> None:
        self.camera.destroy_node()
        for context in (self.ours, self.theirs):
            rclpy.shutdown(context=context)


class Stream:
    """One namespace: publishers of a camera, and a receiver that listens to them.

    Args:
        stage: where it lives.
        topics: message type by the name of each topic that the camera publishes.
        remaps: the node's name of a topic -> the camera's.
    """

    def __init__(self, stage: Stage, topics: dict[str, type], remaps: dict[str, str]) -> None:
        stage.count += 1
        space = f"/stream{stage.count}"
        self._camera = stage.camera
        self._publishers = {
            topic: self._camera.create_publisher(kind, f"{space}/{topic}", 10)
            for topic, kind in topics.items()
        }
        arguments = [word for pair in remaps.items() for word in ("-r", "{}:={}".format(*pair))]
        self._node = rclpy.create_node(
            "endosfm3d", namespace=space, context=stage.ours,
            cli_args=["--ros-args", *arguments] if arguments else [],
        )  # fmt: skip
        self._executor = SingleThreadedExecutor(context=stage.ours)
        self._executor.add_node(self._node)
        self.frames: list[Frame] = []
        health = Health()
        self.receiver = FrameReceiver(
            self._node, stage.values, health, Guard(self._node, health),
            on_frame=self.frames.append, on_jump=lambda _: None,
        )  # fmt: skip

    def close(self) -> None:
        self.receiver.close()
        self._executor.shutdown()
        self._node.destroy_node()
        for publisher in self._publishers.values():
            self._camera.destroy_publisher(publisher)

    def publish(self, topic: str, plain: SimpleNamespace, stamp: int) -> None:
        self._publishers[topic].publish(message(plain, stamp))

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
        """Whether it comes true while the receiver works."""
        end, look = time.monotonic() + seconds, 0.0
        while not condition():
            now = time.monotonic()
            if now > end:
                return False
            if now > look:
                self.receiver.discover()
                look = now + 0.03
            self._executor.spin_once(timeout_sec=0.01)
        return True

    def refused(self, *topics: str) -> bool:
        """Whether the report says so of one of these topics."""
        return any(
            entry.action == "refused" and any(topic in entry.topic for topic in topics)
            for entry in self.receiver.report.entries
        )

    @property
    def connected(self) -> bool:
        """Whether the receiver listens to every topic."""
        self.receiver.discover()
        return all(one.get_subscription_count() for one in self._publishers.values())


def message(plain: SimpleNamespace, stamp: int) -> Image | CompressedImage | CameraInfo:
    """The message of the fields of one."""
    if hasattr(plain, "k"):
        made = CameraInfo(
            width=plain.width, height=plain.height, distortion_model=plain.distortion_model,
            d=plain.d, k=plain.k, r=plain.r, p=plain.p,
            binning_x=plain.binning_x, binning_y=plain.binning_y,
        )  # fmt: skip
        for name in ("x_offset", "y_offset", "width", "height"):
            setattr(made.roi, name, getattr(plain.roi, name))
    elif hasattr(plain, "encoding"):
        made = Image(
            height=plain.height, width=plain.width, encoding=plain.encoding, step=plain.step,
            is_bigendian=plain.is_bigendian, data=byte_array(plain.data),
        )  # fmt: skip
    else:
        made = CompressedImage(format=plain.format, data=byte_array(plain.data))
    made.header.stamp, made.header.frame_id = time_message(stamp), "left_optical"
    return made


def pair_stream(stage: Stage, case: Case) -> Stream:
    """Both eyes and their calibrations, under the names of a case."""
    packed = is_file(case.encoding)
    topics = {name: CompressedImage if packed else Image for name in image_topics(case)}
    topics |= {f"{eye}/camera_info": CameraInfo for eye in EYES}
    remaps = {
        f"{inside}image_raw": f"{eye}/{case.word}" for inside, eye in zip(("", "right/"), EYES)
    }
    return Stream(stage, topics, remaps | {"camera_info": "left/camera_info"})


def image_topics(case: Case) -> list[str]:
    """Of the left and the right eye."""
    packed = "/compressed" if is_file(case.encoding) else ""
    return [f"{eye}/{case.word}{packed}" for eye in EYES]


def outcome(stream: Stream, case: Case) -> str:
    """What becomes of a pair."""
    pictures = [message_of(picture, case.encoding) for picture in case.pictures()]
    infos = dict(zip(EYES, case.infos()))
    for i in range(LOOKS):
        stamp = START + i * STEP
        for part in case.order:
            if part != "size":
                stream.publish(f"{part}/camera_info", infos[part], stamp)
                continue
            for name, plain in reversed(list(zip(image_topics(case), pictures))):
                stream.publish(name, plain, stamp)
        assert stream.until(lambda i=i: len(stream.frames) > i), (case, "nothing comes")
        frame = stream.frames[-1]
        if frame.stereo is not None and frame.right_image is not None:
            found = estimated(frame.image, frame.right_image, frame.stereo)
            error = error_of(found, frame.stereo.left, case)
            return require_right(error, case, stream.receiver.report.entries)
    assert stream.refused(""), (case, "no reason")
    return "refused"


def depth_stream(stage: Stage, case: DepthCase) -> Stream:
    """A picture, its calibration and its depth."""
    kind = CompressedImage if is_file(case.encoding) else Image
    topics = {"camera_info": CameraInfo, depth_topic(case): kind, "image_raw": Image}
    return Stream(stage, topics, {})


def depth_topic(case: DepthCase) -> str:
    return "depth_in/compressedDepth" if is_file(case.encoding) else "depth_in"


def depth_outcome(stream: Stream, case: DepthCase) -> str:
    """What becomes of a depth image beside a picture."""
    stream.publish("camera_info", case.info(), START)
    stream.publish(depth_topic(case), case.message(), START)
    stream.publish("image_raw", raw_message(case.picture(), "rgb8"), START)
    done = stream.until(lambda: stream.frames or stream.refused("depth_in"))
    assert done, (case, "nothing comes")
    if not stream.frames:
        return "refused"
    frame = stream.frames[-1]
    assert frame.depth is not None, (case, "handed on without its depth")
    return require_right_depth(case, *depth_error(frame.image, frame.camera, frame.depth, case))


def is_file(encoding: str) -> bool:
    """Whether it comes as a CompressedImage."""
    return encoding in FILES or "compressed" in encoding


def live(stage: Stage, examples: list, make: Callable, judge: Callable) -> Iterator[str]:
    """Outcomes; streams find each other some at a time, because that takes seconds."""
    for first in range(0, len(examples), AT_ONCE):
        some = examples[first : first + AT_ONCE]
        streams = [make(stage, case) for case in some]
        end = time.monotonic() + PATIENCE
        while not all([stream.connected for stream in streams]):  # each is asked
            assert time.monotonic() < end, "streams do not connect"
            time.sleep(0.05)
        yield from map(judge, streams, some)
        for stream in streams:
            stream.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.mark.parametrize("count", few_or_all(AT_ONCE))
def test_the_cloud_of_a_live_pair_is_right_or_refused(stage, count):
    found = live(stage, generated(cases, count), pair_stream, outcome)
    outcomes = tally("pairs, DDS", found)
    assert outcomes["refused"] <= FEW * outcomes["right"], outcomes


@pytest.mark.parametrize("count", few_or_all(AT_ONCE))
def test_live_depth_is_of_the_pixels_of_the_picture_or_refused(stage, count):
    made = generated(depth_cases, count)
    outcomes = tally("depth, DDS", live(stage, made, depth_stream, depth_outcome))
    assert outcomes["right"] >= sum(case.must_be_read for case in made) > count / 8, outcomes
