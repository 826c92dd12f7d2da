"""Subscriptions of the pipeline: made when a publisher appears, with what that publisher offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from time import monotonic
from typing import Any

from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.nodes.outputs.qos import input_profile, offered_durabilities, offered_reliability

TYPE_NAMES = {
    Image: "sensor_msgs/msg/Image",
    CompressedImage: "sensor_msgs/msg/CompressedImage",
    CameraInfo: "sensor_msgs/msg/CameraInfo",
    PoseStamped: "geometry_msgs/msg/PoseStamped",
    TransformStamped: "geometry_msgs/msg/TransformStamped",
}
QUIET = 2.0  # s after which another transport of a silent topic is tried
NEAR = 0.8  # likeness of names from which one is suggested for the other


@dataclass(frozen=True)
class Input:
    """One thing to listen to. `callbacks` names the accepted types, the preferred one first."""

    topic: str  # relative
    callbacks: dict[type, Callable[[Any], None]]
    transports: tuple[str, ...] = ()  # under which the image may come as CompressedImage

    @property
    def compressed(self) -> bool:
        """Whether the image may come compressed."""
        return bool(self.transports)


@dataclass(frozen=True)
class Offer:
    """What somebody publishes that an input can listen to."""

    name: str
    kind: type
    reliability: ReliabilityPolicy
    durabilities: tuple[DurabilityPolicy, ...]


@dataclass
class Active:
    """What an input listens to now."""

    offer: Offer
    subscriptions: list[Subscription]
    since: float
    heard: bool = False
    tried: set[str] = field(default_factory=set)  # transports that stayed silent


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
        self._active: dict[str, Active] = {}
        self._found: dict[str, list[Offer]] = {}  # at the last look: asking costs time

    def poll(self) -> None:
        """Subscribe to publishers that appeared or changed what they offer."""
        for topic, entry in self._inputs.items():
            offers = self._found[topic] = self._offers(entry)
            if offers:
                self._listen(topic, entry, self._chosen(topic, offers))

    @property
    def offers(self) -> list[Offer]:
        """What is listened to now."""
        return [active.offer for active in self._active.values()]

    def add(self, entry: Input) -> None:
        """Listen to one more thing."""
        self._inputs.setdefault(entry.topic, entry)

    def close(self) -> None:
        """Stop listening."""
        for active in self._active.values():
            self._destroy(active)
        self._active = {}

    def published(self, topic: str) -> bool:
        """Whether anybody published this input at the last `poll`."""
        return bool(self._found.get(topic))

    def name(self, topic: str) -> str:
        """What is listened to, else what would be."""
        active = self._active.get(topic)
        return active.offer.name if active else self._node.resolve_topic_name(topic)

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
        asked = current.offer.reliability.name if current else self._not_yet()
        return (
            f"topic {resolved}, type {kind}, reliability asked for {asked}, publishers: "
            f"{', '.join(offers) or 'none'}{self._suggestion(topic)}"
        )

    def near(self, topic: str) -> str | None:
        """A published topic that may be meant by an input that nobody publishes."""
        entry = self._inputs[topic]
        wanted = self._node.resolve_topic_name(topic)
        kinds = {TYPE_NAMES[kind] for kind in entry.callbacks}
        taken = {active.offer.name for active in self._active.values()}
        beside = self._beside(topic)
        found = {
            name: _likeness(name, wanted, topic, beside)
            for name, types in self._node.get_topic_names_and_types()
            if kinds & set(types) and name not in taken and not self._own(name)
        }
        best = max(found, key=lambda name: found[name], default=None)
        return best if best is not None and found[best] >= NEAR else None

    def _suggestion(self, topic: str) -> str:
        near = None if self._offers(self._inputs[topic]) else self.near(topic)
        return f"; {near} has a publisher: is it meant?" if near else ""

    def _beside(self, topic: str) -> str | None:
        """Where a camera_info would be that lies beside the images of its eye."""
        image = "right/image_raw" if topic.startswith("right/") else "image_raw"
        if not topic.endswith("camera_info") or image not in self._active:
            return None
        folder = self._active[image].offer.name.removesuffix("/compressed").rpartition("/")[0]
        return f"{folder}/camera_info"

    def _own(self, name: str) -> bool:
        return name.startswith(self._node.get_fully_qualified_name() + "/")

    def _not_yet(self) -> str:
        return f"{self._reliability} (not subscribed yet)"

    def _listen(self, topic: str, entry: Input, offer: Offer) -> None:
        current = self._active.get(topic)
        if current and current.offer == offer:
            return
        tried = current.tried if current else set()
        if current:
            self._destroy(current)
        active = Active(offer, [], monotonic(), tried=tried)

        def hear(message: Any) -> None:
            active.heard = True
            entry.callbacks[offer.kind](message)

        active.subscriptions = [
            self._node.create_subscription(
                offer.kind, offer.name, hear, input_profile(offer.reliability, durability)
            )
            for durability in offer.durabilities
        ]
        self._active[topic] = active
        durable = DurabilityPolicy.TRANSIENT_LOCAL in offer.durabilities
        self._node.get_logger().info(
            f"listening to {offer.name} ({TYPE_NAMES[offer.kind]}, {offer.reliability.name}"
            f"{', latched' if durable else ''})"
        )

    def _chosen(self, topic: str, offers: list[Offer]) -> Offer:
        """The preferred transport that speaks; one that stays silent gives way to the next."""
        active = self._active.get(topic)
        if active is None:
            return offers[0]
        current = next((offer for offer in offers if offer.name == active.offer.name
                        and offer.kind is active.offer.kind), None)  # fmt: skip
        if current is None:
            return offers[0]
        if active.heard or len(offers) < 2 or monotonic() - active.since < QUIET:
            return current
        active.tried.add(current.name)
        others = [offer for offer in offers if offer.name not in active.tried]
        if not others:
            active.tried.clear()
            others = [offer for offer in offers if offer != current]
        self._node.get_logger().warning(
            f"{current.name} is announced and silent: {others[0].name} is tried"
        )
        return others[0]

    def _destroy(self, active: Active) -> None:
        for subscription in active.subscriptions:
            self._node.destroy_subscription(subscription)

    def _offers(self, entry: Input) -> list[Offer]:
        """What usable publishers offer, the preferred transport first."""
        found = []
        for name, kind in self._candidates(entry):
            infos = self._node.get_publishers_info_by_topic(name)
            if TYPE_NAMES[kind] in {info.topic_type for info in infos}:
                found.append(Offer(name, kind, self._wanted(name), self._durabilities(name, kind)))
        return found

    def _candidates(self, entry: Input) -> list[tuple[str, type]]:
        """(resolved topic, type) in order of preference; a remapped name is remapped as a whole."""
        base = self._node.resolve_topic_name(entry.topic)
        raw = [(base, kind) for kind in entry.callbacks if kind is not CompressedImage]
        if not entry.compressed or self._transport == "raw":
            return raw
        names = [base]  # the user may have named a compressed topic
        for transport in entry.transports:
            own = self._node.resolve_topic_name(f"{entry.topic}/{transport}")
            names += [own, f"{base}/{transport}"]
        packed = [(name, CompressedImage) for name in dict.fromkeys(names)]
        return packed if self._transport == "compressed" else raw + packed

    def _durabilities(self, topic: str, kind: type) -> tuple[DurabilityPolicy, ...]:
        """What to ask for: of a calibration also what was sent before we listened."""
        if kind is not CameraInfo:
            return (DurabilityPolicy.VOLATILE,)
        return offered_durabilities(self._node, topic)

    def _wanted(self, topic: str) -> ReliabilityPolicy:
        if self._reliability == "auto":
            return offered_reliability(self._node, topic) or ReliabilityPolicy.BEST_EFFORT
        return ReliabilityPolicy[self._reliability.upper()]


def _likeness(name: str, wanted: str, topic: str, beside: str | None) -> float:
    """0 to 1: how likely a published name is meant by an input.

    The whole names are compared, and their ends, as a namespace may be missing.
    """
    if name == beside:
        return 1.0
    other_eye = ("right" in name) != ("right" in wanted) and topic in name
    end = "/".join(name.split("/")[-topic.count("/") - 1 :])
    ends = 0.0 if other_eye else 0.95 * SequenceMatcher(None, end, topic).ratio()
    return max(SequenceMatcher(None, name, wanted).ratio() - 0.2 * other_eye, ends)
