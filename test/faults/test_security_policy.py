"""Rows: sockets and services nowhere documented. The policy says exactly what the node opens."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from geometry_msgs.msg import PoseStamped
from node_harness import STEREO_TOPICS
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

ROOT = Path(__file__).resolve().parents[2]
NODE = "/endosfm3d"
# Instead of raw images, or with simulated time.
ELSEWHERE = {"/image_raw/compressed", "/right/image_raw/compressed", "/clock"}


def allowed(tag: str, verb: str) -> set[str]:
    """Full names in the policy."""
    tree = ElementTree.parse(ROOT / "config" / "security_policy.xml")
    (profile,) = tree.iter("profile")
    names = [
        n.text
        for block in profile.iter(tag)
        if verb in block.attrib
        for n in block
        if n.tag is not ElementTree.Comment
    ]
    assert len(names) == len(set(names))
    return {n.replace("~", NODE) if n[0] in "~/" else f"/{n}" for n in names}


def test_the_policy_is_what_the_node_opens(start_node, probe):
    start_node(tissue_map=True, tools="colour", depth_source="stereo", flight_recorder=1.0)
    probe.connect(*STEREO_TOPICS)
    for topic, kind in (("tool_mask", Image), ("depth_in", Image), ("endoscope_pose", PoseStamped)):
        probe.publisher(topic, kind)

    said = allowed("topics", "subscribe")
    assert probe.wait(lambda: heard(probe.node) | ELSEWHERE == said, 60.0), heard(probe.node)
    assert spoken(probe.node) == allowed("topics", "publish")
    assert served(probe.node, "subscriptions") == allowed("services", "reply")
    assert served(probe.node, "publishers") == set()  # it calls nobody


# By topic and not by node: the graph may still hold a node of the same name that has ended.
def opened(node: Node, ends: str, dds_names: bool = False) -> set[str]:
    """Topics on which the pipeline has `subscriptions` or `publishers`."""
    ask = getattr(node, f"get_{ends}_info_by_topic")
    topics = {name for name, _ in node.get_topic_names_and_types(no_demangle=dds_names)}
    return {
        topic
        for topic in topics
        if any(
            end.node_namespace + end.node_name == NODE for end in ask(topic, no_mangle=dds_names)
        )
    }


def heard(node: Node) -> set[str]:
    return opened(node, "subscriptions")


def spoken(node: Node) -> set[str]:
    return opened(node, "publishers")


def served(node: Node, ends: str) -> set[str]:
    """Services by the topic of their requests: rq/endosfm3d/resetRequest."""
    requests = {name for name in opened(node, ends, dds_names=True) if name.startswith("rq/")}
    return {name.removeprefix("rq").removesuffix("Request") for name in requests}


DOCUMENTS = ("security.md", "reference.md", "guide.md")
NAMES = sorted(allowed("topics", "publish") | allowed("services", "reply"))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_policy_allows_is_documented(name):
    text = "".join((ROOT / "docs" / name).read_text() for name in DOCUMENTS)
    assert name.replace(NODE, "~") in text or name in text


def test_compressed_images_are_inputs(start_node, probe):
    start_node(depth_source="shading")
    publisher = probe.publisher("image_raw/compressed", CompressedImage)
    assert probe.wait(publisher.get_subscription_count, 60.0)
    assert "/image_raw/compressed" in allowed("topics", "subscribe")
