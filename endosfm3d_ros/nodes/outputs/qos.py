"""Quality of service: subscriptions adapt to their publisher, outputs are reliable."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

# Reliable because RViz and most tools ask for it; five deep because a large message takes longer
# to send than the next one to arrive.
OUTPUT = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
TF = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
INPUT_DEPTH = 5


def overridable() -> QoSOverridingOptions:
    """Lets `qos_overrides.<topic>.publisher.*` parameters change an output."""
    return QoSOverridingOptions.with_default_policies()


def offered_reliability(node: Node, topic: str) -> ReliabilityPolicy | None:
    """The weakest reliability among the publishers of a topic; None while there are none."""
    offers = [info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)]
    if not offers:
        return None
    if ReliabilityPolicy.BEST_EFFORT in offers:
        return ReliabilityPolicy.BEST_EFFORT
    return ReliabilityPolicy.RELIABLE


def offered_durabilities(node: Node, topic: str) -> tuple[DurabilityPolicy, ...]:
    """Every durability among the publishers of a topic: one subscription cannot hear both kinds
    of publishers and get from the latched ones what they sent before.
    """
    offers = {info.qos_profile.durability for info in node.get_publishers_info_by_topic(topic)}
    wanted = (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
    return tuple(kind for kind in wanted if kind in offers) or wanted[:1]


def input_profile(
    reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    """Profile of an input subscription."""
    return QoSProfile(depth=INPUT_DEPTH, reliability=reliability, durability=durability)
