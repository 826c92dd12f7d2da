"""The optional stages in the live node: tissue map and instruments over DDS."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from endosfm3d_ros.msg import ToolArray, ToolClearance
from node_harness import LEFT, STEREO_TOPICS
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.gates.limits import MAX_AGE
from endosfm3d_ros.nodes.messages.cloud import CLOUD_DTYPE
from endosfm3d_ros.nodes.messages.conversions import (
    depth_array,
    image_array,
    image_message,
    label_array,
    nanoseconds,
)
from endosfm3d_ros.types import CloudLabel

START = 5 * 10**9
EXTRA = {
    "tissue/image": Image,
    "tissue/composite": Image,
    "tissue/depth": Image,
    "tissue/camera_info": CameraInfo,
    "tissue/points": PointCloud2,
    "tools/models": ToolArray,
    "tools/markers": MarkerArray,
    "tools/labels": Image,
    "tools/clearance": ToolClearance,
}


@pytest.fixture(scope="module")
def clip() -> SimulatedSequence:
    return SimulatedSequence("moving", frames=12, width=320, height=256, fps=5, start=START)


@pytest.fixture
def start_node(start_node):
    """Frames here are stepped through."""
    return partial(start_node, image_clock="recording")


@pytest.fixture
def listening(probe):
    for topic, kind in EXTRA.items():
        probe.collect(topic, kind)
    return probe


def shaft(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: a straight instrument that enters at the lower right."""
    mask = np.zeros(shape, np.uint8)
    cv2.line(mask, (shape[1] + 20, shape[0] - 30), (170, 130), 1, 34)
    return mask.astype(bool)


def played(probe, clip, with_mask: bool = False) -> None:
    mask = shaft((256, 320))
    for frame in clip:
        if with_mask:
            image = frame.image.copy()
            image[mask] = (120, 125, 135)
            frame = replace(frame, image=image)  # noqa: PLW2901
            labels = image_message(mask.astype(np.uint8), "mono8", frame.stamp, LEFT)
            probe.publisher("tool_mask", Image).publish(labels)
        probe.send_stereo(frame)
        assert probe.answered(frame.stamp)
        probe.spin(0.12)


def test_the_map_shows_the_tissue_with_its_stamp_and_depth(start_node, listening, clip):
    start_node(tissue_map=True)
    listening.connect(*STEREO_TOPICS)
    played(listening, clip)
    count = len(clip)
    assert listening.wait(lambda: len(listening.stamps("tissue/depth")) == count)
    assert listening.stamps("tissue/depth") == listening.stamps("depth/image")
    message = listening.messages["tissue/depth"][-1]
    assert message.header.frame_id == LEFT
    assert listening.messages["tissue/camera_info"][-1].width == message.width
    depth, truth = depth_array(message), clip.reference_depth(len(clip) - 1)
    truth = cv2.resize(truth, depth.shape[::-1], interpolation=cv2.INTER_AREA)
    known = np.isfinite(depth)
    assert known.mean() > 0.85
    assert np.median(np.abs(depth / truth - 1)[known]) < 0.015
    image = image_array(listening.messages["tissue/image"][-1]).astype(float)
    shown = cv2.resize(clip[len(clip) - 1].image, image.shape[1::-1]).astype(float)
    assert np.abs(image - shown)[known].mean() < 15
    cloud = np.frombuffer(listening.messages["tissue/points"][-1].data, CLOUD_DTYPE)
    assert len(cloud) > 3000
    assert (cloud["label"] == CloudLabel.MEASURED).mean() > 0.5
    stages = {stage.name for stage in listening.messages["status"][-1].stages}
    assert "tissue" in stages


def test_an_instrument_becomes_a_model_a_marker_and_a_part_of_the_cloud(
    start_node, listening, clip
):
    start_node(tissue_map=True, tools="auto")  # as shipped
    listening.connect(*STEREO_TOPICS, "tool_mask")
    played(listening, clip, with_mask=True)
    last = listening.stamps("depth/image")[-1]
    assert listening.wait(lambda: last in listening.stamps("tools/clearance"))
    assert listening.messages["tools/models"][-1].mask_source == "topic"
    tools = listening.messages["tools/models"][-1].tools
    assert len(tools) == 1
    assert tools[0].visible
    assert tools[0].model_source == "capsule"
    assert tools[0].iou > 0.7
    assert {message.tools[0].id for message in listening.messages["tools/models"]
            if message.tools} == {tools[0].id}  # fmt: skip
    labels = label_array(listening.messages["tools/labels"][-1])
    assert np.array_equal(labels > 0, shaft((256, 320)))
    message = listening.messages["tissue/composite"][-1]
    through, seen = image_array(message).astype(int), clip[len(clip) - 1].image
    assert (nanoseconds(message.header.stamp), through.shape) == (last, (256, 320, 3))
    away = cv2.dilate(labels, np.ones((41, 41))) == 0
    assert np.abs(through - seen)[away].max() == 0
    metal = np.abs(through - (120, 125, 135)).max(axis=2) < 8
    assert metal[labels > 0].mean() < 0.1
    marker = listening.messages["tools/markers"][-1].markers[0]
    assert (marker.id, marker.action) == (tools[0].id, Marker.ADD)
    assert len(marker.points) % 3 == 0 < len(marker.points)
    assert 0 < marker.lifetime.nanosec <= 10**9
    answer = listening.call("remake_tools", Trigger)
    assert (answer.success, answer.message) == (True, "1 models are made anew")
    clearance = listening.messages["tools/clearance"][-1]
    assert clearance.id == tools[0].id
    if clearance.valid:
        assert 0 <= clearance.lower_bound_95 <= clearance.distance < 0.1
    else:
        assert clearance.reason
        assert np.isnan(clearance.distance)


def test_without_scale_there_is_no_clearance(start_node, listening, clip):
    start_node(tissue_map=True, tools="topic")
    listening.connect("image_raw", "tool_mask")
    mask = shaft((256, 320))
    for frame in clip:
        labels = image_message(mask.astype(np.uint8), "mono8", frame.stamp, LEFT)
        listening.publisher("tool_mask", Image).publish(labels)
        listening.send_image(frame.image, frame.stamp)
        assert listening.answered(frame.stamp)
    assert listening.wait(lambda: listening.messages["tools/clearance"])
    for message in listening.messages["tools/clearance"]:
        assert not message.valid
        assert np.isnan(message.distance)
    assert "the scale is relative" in {m.reason for m in listening.messages["tools/clearance"]}


def test_a_tool_that_left_is_deleted(start_node, listening, clip):
    """Fault row 23."""
    start_node(tools="topic")
    listening.connect(*STEREO_TOPICS, "tool_mask")
    played(listening, list(clip)[:8], with_mask=True)
    shown = {m.id for a in listening.messages["tools/markers"] for m in a.markers}
    assert len(shown) == 1
    for frame in list(clip)[8:]:
        nothing = image_message(np.zeros((256, 320), np.uint8), "mono8", frame.stamp, LEFT)
        listening.publisher("tool_mask", Image).publish(nothing)
        listening.send_stereo(frame)
        assert listening.answered(frame.stamp)

    def actions() -> set[int]:
        return {m.action for a in listening.messages["tools/markers"][8:] for m in a.markers}

    assert listening.wait(lambda: Marker.DELETE in actions())


def test_clearance_is_withdrawn_when_images_stop(start_node, listening, clip):
    """The watchdog: no word of a controller's input may outlive its image."""
    start_node(tissue_map=True, tools="topic")
    listening.connect(*STEREO_TOPICS, "tool_mask")
    played(listening, clip, with_mask=True)
    said = listening.messages["tools/clearance"]
    assert listening.wait(lambda: said)
    stamp, tool = listening.stamps("depth/image")[-1], said[-1].id
    before = len(said)
    assert listening.wait(lambda: len(said) > before and said[-1].age > 1.0)
    assert not said[-1].valid
    assert np.isnan([said[-1].distance, said[-1].lower_bound_95, said[-1].nearest.z]).all()
    assert said[-1].id == tool
    assert "old" in said[-1].reason
    assert nanoseconds(said[-1].header.stamp) == stamp  # never dressed up as new
    late = [message for message in said if message.age > MAX_AGE.value]
    assert late and not any(message.valid for message in late)
    assert listening.call("reset", Trigger).success
    assert listening.wait(lambda: "new scene" in said[-1].reason or "new scene" in said[-2].reason)
