"""The watcher over real DDS: what a pipeline publishes reaches the board, of one stamp each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import rclpy
from endosfm3d_ros.msg import PipelineStatus, ToolClearance
from geometry_msgs.msg import Point, PoseWithCovarianceStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.nodes.messages.cloud import cloud_message
from endosfm3d_ros.nodes.messages.conversions import (
    camera_info_message,
    header,
    image_message,
    pose_message,
)
from endosfm3d_ros.nodes.outputs.qos import OUTPUT
from endosfm3d_ros.nodes.view.watcher import Watcher
from endosfm3d_ros.types import Cloud, CloudLabel
from endosfm3d_ros.web.board import Board

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
STAMP = 5 * 10**9
EYE = "/eye/image_raw"


class Stage:
    """A board with its watcher, and what a pipeline of that name would publish."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self.board = Board()
        self.watching, self.speaking = Node("view_under_test"), Node("speaker")
        self.watcher = Watcher(self.watching, self.board, "/endosfm3d", EYE)
        self._executor = SingleThreadedExecutor()
        for node in (self.watching, self.speaking):
            self._executor.add_node(node)
        self._publishers = {}

    def close(self) -> None:
        rclpy.try_shutdown()

    def say(self, topic: str, message: object) -> None:
        if topic not in self._publishers:
            publisher = self.speaking.create_publisher(type(message), topic, OUTPUT)
            self._publishers[topic] = publisher
            assert self.until(lambda: publisher.get_subscription_count() > 0)
            self.until(lambda: False, timeout=1.0)  # the other side has to find it too
        self._publishers[topic].publish(message)

    def until(self, condition, timeout: float = 15.0) -> bool:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def shown(self, name: str) -> object:
        assert self.until(lambda: self.board.get(name) is not None), name
        part = self.board.get(name)
        if part.kind == "application/json":
            return json.loads(part.content)
        return cv2.imdecode(np.frombuffer(part.content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    stage.board.enter()
    yield stage
    stage.close()


def grey(value: int, stamp: int) -> Image:
    image = np.full((48, 64, 3), value, np.uint8)
    return image_message(image, "rgb8", stamp, "eye")


def test_nothing_is_subscribed_while_nobody_looks(stage):
    stage.board.leave()
    stage.until(lambda: False, timeout=0.8)
    assert stage.watching.count_subscribers("/endosfm3d/points") == 0
    stage.board.enter()
    assert stage.until(lambda: stage.watching.count_subscribers("/endosfm3d/points") == 1)


def test_labels_are_shown_over_the_image_that_they_are_of(stage):
    stage.say(EYE, grey(60, STAMP))
    stage.say(
        "/endosfm3d/tools/labels", image_message(np.zeros((48, 64), np.uint8), "mono8", 1, "")
    )
    for k, value in enumerate((60, 200)):
        stage.say(EYE, grey(value, STAMP + k))
    stage.until(lambda: False, timeout=0.3)
    labels = np.zeros((48, 64), np.uint8)
    labels[:, 40:] = 1
    before = stage.board.get("image")
    stage.say("/endosfm3d/tools/labels", image_message(labels, "mono8", STAMP, "eye"))
    assert stage.until(lambda: stage.board.get("image") is not before)
    picture = stage.shown("image")
    assert np.abs(picture[:, :30].astype(int) - 60).mean() < 6  # not the newer, brighter one
    assert np.abs(picture[10:20, 50:60].astype(int) - 60).mean() > 20


def test_the_scene_is_in_the_map_frame_with_path_camera_and_distance(stage):
    T = np.eye(4)
    T[:3, 3] = (0.0, 0.0, 0.01)
    pose = PoseWithCovarianceStamped(header=header(STAMP, "endoscope_map"))
    pose.pose.pose = pose_message(T)
    tissue, tool = (0.0, 0.0, 0.05), (0.0, 0.0, 0.046)
    cloud = Cloud(
        np.array([tissue, tool], np.float32), np.full((2, 3), 90, np.uint8),
        np.zeros((2, 3), np.float32), np.ones(2, np.float32),
        np.array([0, CloudLabel.TOOL + 1], np.uint8),
    )  # fmt: skip
    found = ToolClearance(id=1, valid=True, distance=0.004, lower_bound_95=0.003)
    found.nearest = Point(x=0.0, y=0.0, z=0.05)
    stage.say("/endosfm3d/status", PipelineStatus(scale_source="stereo", message="running"))
    stage.say("/endosfm3d/camera_pose", pose)
    stage.say("/endosfm3d/depth/camera_info", camera_info_message(CAMERA, STAMP, "eye"))
    stage.say("/endosfm3d/tools/clearance", found)
    assert stage.shown("clearance")[0]["distance"] == 0.004
    assert stage.shown("status")["scale_source"] == "stereo"
    stage.say("/endosfm3d/points", cloud_message(cloud, STAMP, "eye"))
    scene = stage.shown("scene")
    assert scene["metres"] and scene["cloud"]["count"] == 2 and len(scene["path"]) == 1
    assert scene["cloud"]["low"][2] == pytest.approx(0.056)
    assert scene["camera"]["pose"][11] == pytest.approx(0.01)
    ((start, end, _),) = scene["lines"]
    assert (start[2], end[2]) == (pytest.approx(0.06), pytest.approx(0.056))


def test_a_distance_that_is_not_repeated_or_not_valid_is_not_shown(stage):
    stage.say("/endosfm3d/tools/clearance", ToolClearance(id=1, valid=False, reason="lost"))
    assert stage.shown("clearance")[0] == {
        "id": 1, "valid": False, "reason": "lost", "distance": None, "lower_bound_95": None,
        "tissue_kind": "",
    }  # fmt: skip
    assert stage.until(lambda: stage.shown("clearance") == [], timeout=4)


def test_depth_says_its_unit(stage):
    stage.say("/endosfm3d/status", PipelineStatus(scale_source="relative"))
    depth = np.linspace(0.03, 0.08, 48 * 64, dtype=np.float32).reshape(48, 64)
    stage.say("/endosfm3d/depth/image", image_message(depth, "32FC1", STAMP, "eye"))
    assert stage.shown("depth").shape == (48, 64, 3)
