"""Listens to a pipeline's topics and keeps the newest of each on a board; publishes nothing."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from endosfm3d_ros.msg import PipelineStatus, ToolClearance
from endosfm3d_ros.nodes.messages.conversions import (
    compressed_array,
    depth_array,
    image_array,
    label_array,
    matrix_of,
    nanoseconds,
)
from endosfm3d_ros.nodes.outputs.qos import OUTPUT, input_profile, offered_reliability
from endosfm3d_ros.nodes.view.live_scene import LiveScene
from endosfm3d_ros.web.board import Board
from endosfm3d_ros.web.pictures import depth_picture, jpeg, with_labels

RATES = {"image": 12.0, "depth": 8.0, "tissue": 8.0, "scene": 2.5, "status": 4.0}  # 1/s
POLL = 0.5  # s between looks at who watches and what is there
KINDS = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
NOT_THE_EYE = ("right", "depth", "mask", "label")  # words in topics that are no image of the eye
KEPT_IMAGES = 60  # that wait for their labels: two seconds of a camera
UNLABELLED = 2.0  # s without labels, after which images are shown without them
GONE = 1.0  # s after which a clearance that was not repeated is shown no longer


class Watcher:
    """Subscribes while somebody looks, so that nothing is computed for nobody.

    Args:
        node: that listens.
        board: that is filled.
        pipeline: full name of the node to watch.
        image: topic of the eye; empty: what that node listens to.
    """

    def __init__(self, node: Node, board: Board, pipeline: str, image: str = "") -> None:
        self._node, self._board = node, board
        self._pipeline, self._image_topic = pipeline, image
        self._heard: list[Subscription] = []
        self._scene = LiveScene()
        self._images: deque[tuple[int, Image | CompressedImage]] = deque(maxlen=KEPT_IMAGES)
        self._labelled = -np.inf  # when labels came last
        self._metric = False
        self._clearances: dict[int, tuple[float, ToolClearance]] = {}
        self._eye: Subscription | None = None
        self._timer = node.create_timer(POLL, self._poll)

    def _poll(self) -> None:
        if self._board.watched and not self._heard:
            self._listen()
        elif not self._board.watched and self._heard:
            for each in self._heard:
                self._node.destroy_subscription(each)
            self._heard, self._eye = [], None
        if self._heard and self._eye is None:
            self._eye = self._find_eye()
        self._drop_old_clearances()

    def _listen(self) -> None:
        for topic, kind, take in (
            ("status", PipelineStatus, self._status),
            ("depth/image", Image, self._depth),
            ("tissue/image", Image, self._tissue),
            ("tools/labels", Image, self._take_labels),
            ("tools/clearance", ToolClearance, self._clearance),
            ("camera_pose", PoseWithCovarianceStamped, self._pose),
            ("depth/camera_info", CameraInfo, self._scene.take_camera),
            ("points", PointCloud2, self._points),
        ):
            name = f"{self._pipeline}/{topic}"
            self._heard.append(self._node.create_subscription(kind, name, take, OUTPUT))

    def _find_eye(self) -> Subscription | None:
        """The image that the pipeline looks at, once it can be known."""
        topic, kind = self._image_topic, ""
        if topic:
            kind = dict(self._node.get_topic_names_and_types()).get(topic, [""])[0]
        else:
            topic, kind = self._image_of_pipeline()
        if kind not in KINDS:
            return None
        reliability = offered_reliability(self._node, topic)
        if reliability is None:
            return None
        profile = input_profile(reliability)
        eye = self._node.create_subscription(KINDS[kind], topic, self._image, profile)
        self._heard.append(eye)
        return eye

    def _image_of_pipeline(self) -> tuple[str, str]:
        """(topic, type) of the first image that the pipeline listens to; empty where unknown."""
        # By topic: the graph may still hold a node of the same name that has ended.
        for topic, kinds in sorted(self._node.get_topic_names_and_types()):
            if kinds[0] not in KINDS or any(word in topic for word in NOT_THE_EYE):
                continue
            for end in self._node.get_subscriptions_info_by_topic(topic):
                if f"{end.node_namespace.rstrip('/')}/{end.node_name}" == self._pipeline:
                    return topic, kinds[0]
        return "", ""

    # --- what comes -----------------------------------------------------------------------------

    def _image(self, message: Image | CompressedImage) -> None:
        """Kept until its labels come; without instruments to look for it is shown at once."""
        self._images.append((nanoseconds(message.header.stamp), message))
        if monotonic() - self._labelled > UNLABELLED:
            self._show("image", lambda: jpeg(with_labels(pixels_of(message), None)))

    def _take_labels(self, message: Image) -> None:
        """Labels are of one image, and shown over no other."""
        self._labelled, stamp = monotonic(), nanoseconds(message.header.stamp)
        image = next((image for at, image in reversed(self._images) if at == stamp), None)
        if image is not None:
            labels = label_array(message)
            self._show("image", lambda: jpeg(with_labels(pixels_of(image), labels)))

    def _depth(self, message: Image) -> None:
        self._show("depth", lambda: jpeg(depth_picture(depth_array(message), self._metric)))

    def _tissue(self, message: Image) -> None:
        self._show("tissue", lambda: jpeg(image_array(message)))

    def _pose(self, message: PoseWithCovarianceStamped) -> None:
        self._scene.take_pose(nanoseconds(message.header.stamp), matrix_of(message.pose.pose))

    def _points(self, message: PointCloud2) -> None:
        def make() -> bytes:
            clearances = [found for _, found in self._clearances.values()]
            scene = self._scene.packed(message, clearances, self._metric)
            return json.dumps(scene).encode()

        self._show("scene", make, "application/json")

    def _status(self, message: PipelineStatus) -> None:
        self._metric = message.scale_source not in ("", "relative")
        content = {
            "level": int(message.level),
            "message": message.message,
            "depth_source": message.depth_source,
            "scale_source": message.scale_source,
            "facts": facts_of(message),
        }
        self._show("status", lambda: json.dumps(content).encode(), "application/json")

    def _clearance(self, message: ToolClearance) -> None:
        self._clearances[message.id] = monotonic(), message
        self._show_clearances()

    def _drop_old_clearances(self) -> None:
        """A distance that nobody repeats is no distance any more."""
        now, count = monotonic(), len(self._clearances)
        self._clearances = {k: v for k, v in self._clearances.items() if now - v[0] < GONE}
        if len(self._clearances) < count:
            self._show_clearances()

    def _show_clearances(self) -> None:
        rows = [
            {
                "id": found.id, "valid": found.valid, "reason": found.reason,
                "distance": found.distance if found.valid else None,
                "lower_bound_95": found.lower_bound_95 if found.valid else None,
                "tissue_kind": found.tissue_kind,
            }
            for _, found in self._clearances.values()
        ]  # fmt: skip
        self._board.put("clearance", "application/json", json.dumps(rows).encode())

    def _show(self, name: str, make: Callable[[], bytes], kind: str = "image/jpeg") -> None:
        """A part, where it is due; what cannot be shown is left out."""
        if not self._board.due(name):
            return
        try:
            self._board.put(name, kind, make())
        except Exception as error:
            said = f"{name} cannot be shown: {error}"
            self._node.get_logger().warning(said, throttle_duration_sec=10.0)


def pixels_of(message: Image | CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    packed = isinstance(message, CompressedImage)
    return compressed_array(message) if packed else image_array(message)


def facts_of(message: PipelineStatus) -> dict[str, Any]:
    """What a person wants to read of a status."""
    facts = {
        "tracking": message.tracking,
        "updates": f"{message.output_rate_hz:.1f} Hz of {message.input_rate_hz:.1f} Hz",
        "latency": f"{message.latency_p50_ms:.0f} ms",
        "depth": f"{message.depth_coverage:.0%} of the image",
        "intrinsics": message.intrinsics_mode,
        "quality": message.quality,
        "networks": message.backend,
    }
    return {name: value for name, value in facts.items() if value and "nan" not in value}
