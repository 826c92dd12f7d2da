"""The whole chain on a bag: player, real node, DDS, and what came back."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.msg import PipelineStatus
from endosfm3d_ros.nodes.messages.conversions import (
    depth_array,
    image_array,
    label_array,
    matrix_of,
    nanoseconds,
)
from endosfm3d_ros.nodes.offline.activity import wait_until_active
from endosfm3d_ros.nodes.offline.player import BagPlayer
from endosfm3d_ros.nodes.offline.process import PipelineProcess
from endosfm3d_ros.nodes.outputs.qos import OUTPUT

NODE = "/endosfm3d"
START_TIMEOUT = 600.0  # s until the node is ready; a slow machine builds engines for minutes
LISTEN_TIMEOUT = 30.0  # s from then until it is connected
DRAIN = 1.0  # s after the last image
# Of the rate measured before the first image: player, listener and transport need the rest.
KEEPS_UP = 0.55
SLOWEST = 0.25  # times the recorded speed
SHOWN = 3.0  # s of scene, until which the bag goes round again ...
ROUNDS = 4  # ... but not more often


@dataclass
class Heard:
    """What came out of the node; all but clouds and status by stamp in nanoseconds."""

    depth: dict[int, np.ndarray] = field(default_factory=dict)  # (H, W) float32
    poses: dict[int, np.ndarray] = field(default_factory=dict)  # 4x4
    tissue: dict[int, np.ndarray] = field(default_factory=dict)  # (h, w, 3) uint8 RGB
    tissue_depth: dict[int, np.ndarray] = field(default_factory=dict)  # (h, w) float32
    labels: dict[int, np.ndarray] = field(default_factory=dict)  # (H, W) uint8
    clouds: list[PointCloud2] = field(default_factory=list)
    status: PipelineStatus | None = None
    counts: Counter[str] = field(default_factory=Counter)  # messages by topic, of all rounds
    rounds: int = 0  # that the bag was played
    speed: float = 1.0  # times the recorded speed


def play_through_node(
    bag: Path,
    camera_ns: str,
    log: Path,
    on_message: Callable[[], None],
    depth_source: str = "auto",
    fps: float = 10.0,
) -> Heard:
    """Play a bag to a pipeline process and collect its answers, until there was a scene to see.

    Args:
        bag: with `<camera_ns>/left/...` topics, as `endosfm3d convert` writes it.
        camera_ns: namespace of both eyes.
        log: where the node's log goes.
        on_message: called for every message played.
        depth_source: parameter of the node.
        fps: of the images.

    Raises:
        EndoError: the node does not become ready, with the reason.
    """
    inputs = {
        f"{eye}{topic}": f"{camera_ns}/{side}/{topic}"
        for eye, side in (("", "left"), ("right/", "right"))
        for topic in ("image_raw", "camera_info")
    }
    process = PipelineProcess(log, {"depth_source": depth_source}, inputs)
    node = rclpy.create_node("endosfm3d_demo")
    heard = Heard()
    _subscribe(node, heard)
    try:
        with _spinning(node):
            player = BagPlayer(node, bag)
            _wait_until_ready(process, log)
            for topic in player.topics:
                if topic in inputs.values() and not player.wait_for_listener(topic, LISTEN_TIMEOUT):
                    raise EndoError(
                        f"the node does not listen to {topic}: {process.last_words} ({log})"
                    )
            heard.speed = _speed(heard, fps)
            player.config = replace(player.config, rate=heard.speed)
            while heard.counts["depth/image"] / fps < SHOWN and heard.rounds < ROUNDS:
                heard.rounds += 1
                player.play(lambda topic, stamp: on_message())
                _wait_until_quiet(heard)
    finally:
        process.stop()
        node.destroy_node()
    return heard


def _wait_until_ready(process: PipelineProcess, log: Path) -> None:
    try:
        wait_until_active(NODE, START_TIMEOUT, alive=lambda: process.running)
    except EndoError as error:
        raise EndoError(f"{error}: {process.last_words} ({log})") from error


def _speed(heard: Heard, fps: float) -> float:
    """As fast as this machine keeps up with, at most as recorded: a demo shows the whole scene."""
    end = monotonic() + 3 * DRAIN
    while heard.status is None and monotonic() < end:
        threading.Event().wait(0.05)
    expected = heard.status.expected_rate_hz if heard.status else math.nan
    if not math.isfinite(expected):
        return 1.0
    return min(1.0, max(SLOWEST, KEEPS_UP * expected / fps))


def _subscribe(node: rclpy.node.Node, heard: Heard) -> None:
    def on_tf(message: TFMessage) -> None:
        for edge in message.transforms:
            if edge.header.frame_id == "endoscope_odom":
                heard.poses[nanoseconds(edge.header.stamp)] = matrix_of(edge.transform)
                heard.counts["poses"] += 1

    def collect(topic: str, into: dict[int, np.ndarray], decode: Callable) -> None:
        def on_image(message: Image) -> None:
            into[nanoseconds(message.header.stamp)] = decode(message)
            heard.counts[topic] += 1

        node.create_subscription(Image, f"{NODE}/{topic}", on_image, OUTPUT)

    def on_cloud(message: PointCloud2) -> None:
        heard.clouds[:] = [message]  # the newest is what the picture shows
        heard.counts["points"] += 1

    node.create_subscription(TFMessage, "/tf", on_tf, 100)
    collect("depth/image", heard.depth, depth_array)
    collect("tissue/image", heard.tissue, image_array)
    collect("tissue/depth", heard.tissue_depth, depth_array)
    collect("tools/labels", heard.labels, label_array)
    node.create_subscription(PointCloud2, f"{NODE}/points", on_cloud, OUTPUT)
    node.create_subscription(
        PipelineStatus, f"{NODE}/status", lambda m: setattr(heard, "status", m), OUTPUT
    )


@contextmanager
def _spinning(node: rclpy.node.Node) -> object:
    """Callbacks run on a thread of their own while the block plays."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        executor.shutdown()


def _wait_until_quiet(heard: Heard) -> None:
    """Until no new depth has come for a moment, and a status has said what became of the rest."""
    count, since, status = heard.counts["depth/image"], monotonic(), heard.status
    while monotonic() - since < DRAIN or heard.status is status:
        if heard.counts["depth/image"] != count:
            count, since, status = heard.counts["depth/image"], monotonic(), heard.status
        if monotonic() - since > 3 * DRAIN:  # a node that says nothing any more
            return
        threading.Event().wait(0.05)
