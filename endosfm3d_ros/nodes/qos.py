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


def input_profile(reliability: ReliabilityPolicy) -> QoSProfile:
    """Profile of an input subscription."""
    return QoSProfile(depth=INPUT_DEPTH, reliability=reliability)
