"""A camera in one DDS participant, and the node's receiver in another, without the pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.nodes.health.guard import Guard
from endosfm3d_ros.nodes.health.health import Health
from endosfm3d_ros.nodes.inputs.receiver import FrameReceiver
from endosfm3d_ros.nodes.messages.conversions import byte_array, time_message
from endosfm3d_ros.nodes.node import parameters
from endosfm3d_ros.types import Frame

PATIENCE = 20.0  # s for what comes in milliseconds on a machine that does nothing else


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
        self.better: list[str] = []  # why new scenes began
        health = Health()
        self.receiver = FrameReceiver(
            self._node, stage.values, health, Guard(self._node, health),
            on_frame=self.frames.append, on_jump=lambda _: None, on_better=self.better.append,
        )  # fmt: skip
        self.rejected = self.receiver.assembler.rejected

    def close(self) -> None:
        self.receiver.close()
        self._executor.shutdown()
        self._node.destroy_node()
        for publisher in self._publishers.values():
            self._camera.destroy_publisher(publisher)

    def publish(self, topic: str, plain: SimpleNamespace, stamp: int) -> None:
        self.send(topic, message(plain, stamp))

    def send(self, topic: str, made: Any) -> None:
        """Publish a message that is one already."""
        self._publishers[topic].publish(made)

    def said(self, text: str) -> bool:
        """Whether the report holds these words."""
        return any(text in str(entry) for entry in self.receiver.report.entries)

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
