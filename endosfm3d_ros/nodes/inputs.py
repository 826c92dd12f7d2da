"""Subscriptions of the pipeline: made when a publisher appears, with what that publisher offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.nodes.qos import input_profile, offered_reliability

TYPE_NAMES = {
    Image: "sensor_msgs/msg/Image",
    CompressedImage: "sensor_msgs/msg/CompressedImage",
    CameraInfo: "sensor_msgs/msg/CameraInfo",
    PoseStamped: "geometry_msgs/msg/PoseStamped",
    TransformStamped: "geometry_msgs/msg/TransformStamped",
}


@dataclass(frozen=True)
class Input:
    """One thing to listen to. `callbacks` names the accepted types, the preferred one first."""

    topic: str  # relative
    callbacks: dict[type, Callable[[Any], None]]
    compressed: bool = False  # whether the image may come as <topic>/compressed


class InputSubscriptions:
    """Looks for publishers of the inputs and subscribes to what they offer.

    `poll` is called by a timer of the node; it is cheap while nothing changes.

    Args:
        reliability: auto, reliable or best_effort.
        transport: auto, raw or compressed.
    """

    def __init__(
        self, node: Node, inputs: list[Input], reliability: str = "auto", transport: str = "auto"
    ) -> None:
        self._node = node
        self._inputs = {entry.topic: entry for entry in inputs}
        self._reliability = reliability
        self._transport = transport
        self._active: dict[str, tuple[Subscription, ReliabilityPolicy, type]] = {}

    def poll(self) -> None:
        """Subscribe to publishers that appeared or changed what they offer."""
        for topic, entry in self._inputs.items():
            found = self._find(entry)
            if found is None:
                continue
            name, kind, reliability = found
            current = self._active.get(topic)
            if current and current[1] == reliability and current[2] is kind:
                continue
            if current:
                self._node.destroy_subscription(current[0])
            subscription = self._node.create_subscription(
                kind, name, entry.callbacks[kind], input_profile(reliability)
            )
            self._active[topic] = (subscription, reliability, kind)
            self._node.get_logger().info(
                f"listening to {subscription.topic_name} ({TYPE_NAMES[kind]}, {reliability.name})"
            )

    def close(self) -> None:
        """Stop listening."""
        for subscription, _, _ in self._active.values():
            self._node.destroy_subscription(subscription)
        self._active = {}

    def published(self, topic: str) -> bool:
        """Whether anybody publishes this input now."""
        return self._find(self._inputs[topic]) is not None

    def describe(self, topic: str) -> str:
        """Topic, type, what is asked for and what is on offer: the sentence of the watchdog."""
        entry = self._inputs[topic]
        resolved = self._node.resolve_topic_name(topic)
        kind = TYPE_NAMES[next(iter(entry.callbacks))]
        offers = [
            f"{info.node_name} ({info.topic_type}, {info.qos_profile.reliability.name})"
            for info in self._node.get_publishers_info_by_topic(resolved)
        ]
        current = self._active.get(topic)
        asked = current[1].name if current else f"{self._reliability} (not subscribed yet)"
        return (
            f"topic {resolved}, type {kind}, reliability asked for {asked}, publishers: "
            f"{', '.join(offers) or 'none'}"
        )

    def _find(self, entry: Input) -> tuple[str, type, ReliabilityPolicy] | None:
        """(resolved topic, type, reliability) of the first usable publisher."""
        for name, kind in self._candidates(entry):
            resolved = self._node.resolve_topic_name(name)
            types = {info.topic_type for info in self._node.get_publishers_info_by_topic(resolved)}
            if TYPE_NAMES[kind] in types:
                return resolved, kind, self._wanted(resolved)
        return None

    def _candidates(self, entry: Input) -> list[tuple[str, type]]:
        kinds = [kind for kind in entry.callbacks if kind is not CompressedImage]
        raw = [(entry.topic, kind) for kind in kinds]
        if not entry.compressed or self._transport == "raw":
            return raw
        compressed = [(f"{entry.topic}/compressed", CompressedImage)]
        return compressed if self._transport == "compressed" else raw + compressed

    def _wanted(self, topic: str) -> ReliabilityPolicy:
        if self._reliability == "auto":
            return offered_reliability(self._node, topic) or ReliabilityPolicy.BEST_EFFORT
        return ReliabilityPolicy[self._reliability.upper()]
