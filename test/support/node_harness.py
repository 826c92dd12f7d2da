"""What the node tests are made of: the pipeline as a process, and a node that probes it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from endosfm3d_ros.msg import PipelineStatus
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.nodes.messages.conversions import (
    camera_info_message,
    image_message,
    nanoseconds,
)
from endosfm3d_ros.nodes.messages.scene import CameraOutput, CloudOutput, DepthOutput
from endosfm3d_ros.nodes.outputs.catalogue import topics_of
from endosfm3d_ros.types import Frame

LEFT = "endoscope_left_optical_frame"
OUTPUT_QOS = QoSProfile(depth=200)
EVERY_FRAME = ("odometry", "camera_pose", "camera_info", "depth/image", "depth/confidence")
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Probe:
    """Publishes what a camera would, collects what the pipeline says."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self.node = rclpy.create_node("probe")
        self.messages: dict[str, list[Any]] = defaultdict(list)
        self._publishers: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.collect("status", PipelineStatus)
        self.collect("/tf", TFMessage)
        self.collect("/diagnostics", DiagnosticArray)
        for name, topic in topics_of([CameraOutput(), DepthOutput(), CloudOutput()]).items():
            self.collect(name, topic.kind, LATCHED if topic.latched else OUTPUT_QOS)

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown()

    def collect(self, topic: str, kind: type, qos: QoSProfile = OUTPUT_QOS) -> None:
        name = topic if topic.startswith("/") else f"/endosfm3d/{topic}"
        self.node.create_subscription(kind, name, self.messages[topic].append, qos)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def wait(self, condition: Callable[[], Any], timeout: float = 20.0) -> bool:
        """Whether it comes true; generous, for machines that do much else."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def answered(self, stamp: int) -> bool:
        """Whether all that the node says of every frame has come for this one, now or soon."""

        def complete() -> bool:
            moved = any(nanoseconds(t.header.stamp) == stamp for m in self.messages["/tf"]
                        for t in m.transforms)  # fmt: skip
            return moved and all(stamp in self.stamps(topic) for topic in EVERY_FRAME)

        return self.wait(complete)

    def status_says(self, text: str) -> bool:
        """Whether the newest status holds these words, now or soon."""
        heard = self.messages["status"]
        return self.wait(lambda: heard and text in heard[-1].message)

    def stamps(self, topic: str) -> list[int]:
        """Stamps of what came on an output, in order of arrival."""
        return [nanoseconds(message.header.stamp) for message in self.messages[topic]]

    def transforms(self, child: str) -> list[TransformStamped]:
        return [
            transform
            for message in self.messages["/tf"]
            for transform in message.transforms
            if transform.child_frame_id == child
        ]

    # --- inputs --------------------------------------------------------------------------------

    def publisher(self, topic: str, kind: type, reliable: bool = True) -> Any:
        if topic not in self._publishers:
            reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            qos = QoSProfile(depth=10, reliability=reliability)
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        return self._publishers[topic]

    def connect(self, *topics: str, reliable: bool = True, timeout: float = 60.0) -> None:
        """Offer input topics and wait until the node listens to each of them."""
        for topic in topics:
            kind = CameraInfo if topic.endswith("camera_info") else Image
            self.publisher(topic, kind, reliable)
        heard = self.wait(
            lambda: (
                all(self._publishers[t].get_subscription_count() for t in topics)
                and self.node.count_subscribers("/endosfm3d/depth/image") > 0
                and self.node.count_publishers("/endosfm3d/depth/image") > 0
            ),
            timeout,
        )
        assert heard, f"the pipeline does not listen to {topics}"
        self.spin(0.3)  # its publishers and our subscriptions find each other too

    def send_image(
        self, image: np.ndarray, stamp: int, frame_id: str = LEFT, topic: str = "image_raw"
    ) -> None:
        message = image_message(np.ascontiguousarray(image), "rgb8", stamp, frame_id)
        self.publisher(topic, Image).publish(message)

    def send_info(
        self,
        camera: PinholeCamera,
        stamp: int,
        P: np.ndarray | None = None,
        R: np.ndarray | None = None,
        topic: str = "camera_info",
    ) -> None:
        message = camera_info_message(camera, stamp, LEFT, R=R, P=P)
        self.publisher(topic, CameraInfo).publish(message)

    def send_stereo(self, frame: Frame, right_last: bool = False) -> None:
        """Both eyes of a frame with their calibration."""
        pair = frame.stereo
        self.send_info(pair.left, frame.stamp, pair.P_left, pair.R_left)
        right_info = "right/camera_info"
        self.send_info(pair.right, frame.stamp, pair.P_right, pair.R_right, topic=right_info)
        eyes = [(frame.right_image, "right/image_raw"), (frame.image, "image_raw")]
        for image, topic in reversed(eyes) if right_last else eyes:
            self.send_image(image, frame.stamp, topic=topic)

    # --- services ------------------------------------------------------------------------------

    def call(self, service: str, kind: type, **fields: Any) -> Any:
        """The response of a service of the pipeline."""
        client = self.node.create_client(kind, f"/endosfm3d/{service}")
        assert client.wait_for_service(10.0), f"no service {service}"
        future = client.call_async(kind.Request(**fields))
        assert self.wait(future.done), f"service {service} does not answer"
        return future.result()


STEREO_TOPICS = ("camera_info", "right/camera_info", "right/image_raw", "image_raw")
