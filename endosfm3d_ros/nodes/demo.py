"""The whole chain on a generated clip: bag, player, real node, DDS, picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.evaluation.depth import score_image
from endosfm3d_ros.msg import PipelineStatus
from endosfm3d_ros.nodes.cloud_message import CLOUD_DTYPE
from endosfm3d_ros.nodes.conversions import depth_array, matrix_of, nanoseconds
from endosfm3d_ros.nodes.player import BagPlayer
from endosfm3d_ros.nodes.process import WITHOUT_STAGES, PipelineProcess
from endosfm3d_ros.nodes.qos import OUTPUT
from endosfm3d_ros.scene.pictures import depth_colours, depth_range
from endosfm3d_ros.types import ScaleSource

NODE = "/endosfm3d"
START_TIMEOUT = 30.0  # s until the node listens
DRAIN = 1.0  # s after the last image


@dataclass
class Heard:
    """What came out of the node; depth, poses and images by stamp in nanoseconds."""

    depth: dict[int, np.ndarray] = field(default_factory=dict)
    poses: dict[int, np.ndarray] = field(default_factory=dict)
    clouds: list[PointCloud2] = field(default_factory=list)
    status: PipelineStatus | None = None


def play_through_node(
    bag: Path,
    camera_ns: str,
    log: Path,
    on_message: Callable[[], None],
    depth_source: str = "auto",
) -> Heard:
    """Play a bag to a pipeline process and collect its answers.

    Args:
        bag: with `<camera_ns>/left/...` topics, as `endosfm3d convert` writes it.
        camera_ns: namespace of both eyes.
        log: where the node's log goes.
        on_message: called for every message played.
        depth_source: parameter of the node.

    Raises:
        EndoError: the node does not start to listen within 30 s.
    """
    inputs = {
        f"{eye}{topic}": f"{camera_ns}/{side}/{topic}"
        for eye, side in (("", "left"), ("right/", "right"))
        for topic in ("image_raw", "camera_info")
    }
    process = PipelineProcess(log, WITHOUT_STAGES | {"depth_source": depth_source}, inputs)
    node = rclpy.create_node("endosfm3d_demo")
    heard = Heard()
    _subscribe(node, heard)
    try:
        with _spinning(node):
            player = BagPlayer(node, bag)
            for topic in player.topics:
                if topic in inputs.values() and not player.wait_for_listener(topic, START_TIMEOUT):
                    raise EndoError(f"the node does not listen to {topic}; its log is {log}")
            player.play(lambda topic, stamp: on_message())
            _wait_until_quiet(heard)
    finally:
        process.stop()
        node.destroy_node()
    return heard


def _subscribe(node: rclpy.node.Node, heard: Heard) -> None:
    def on_tf(message: TFMessage) -> None:
        for edge in message.transforms:
            if edge.header.frame_id == "endoscope_odom":
                heard.poses[nanoseconds(edge.header.stamp)] = matrix_of(edge.transform)

    def on_depth(message: Image) -> None:
        heard.depth[nanoseconds(message.header.stamp)] = depth_array(message)

    node.create_subscription(TFMessage, "/tf", on_tf, 100)
    node.create_subscription(Image, f"{NODE}/depth/image", on_depth, OUTPUT)
    node.create_subscription(PointCloud2, f"{NODE}/points", heard.clouds.append, OUTPUT)
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
    """Until no new depth has come for a moment."""
    count, since = len(heard.depth), monotonic()
    while monotonic() - since < DRAIN:
        if len(heard.depth) != count:
            count, since = len(heard.depth), monotonic()
        threading.Event().wait(0.05)


def scores(heard: Heard, clip: Sequence) -> dict[str, float]:
    """What came back against the exact truth of a simulated clip.

    Errors in millimetres; only the shape of the depth where it has no scale.
    """
    if heard.status is not None and heard.status.scale_source == ScaleSource.RELATIVE.value:
        return {"depth_abs_rel_median_scaled": shape_error(heard, clip)}
    errors, positions = [], []
    for i, frame in enumerate(clip):
        if frame.stamp in heard.depth:
            difference = heard.depth[frame.stamp] - clip.reference_depth(i)
            errors.append(np.nanmedian(np.abs(difference)))
        if frame.stamp in heard.poses:
            truth = clip.reference_pose(i)[:3, 3]
            positions.append(np.linalg.norm(heard.poses[frame.stamp][:3, 3] - truth))
    return {
        "depth_median_error_mm": float(np.mean(errors)) * 1e3 if errors else float("nan"),
        "position_rmse_mm": float(np.sqrt(np.mean(np.square(positions)))) * 1e3
        if positions
        else float("nan"),
    }


def shape_error(heard: Heard, clip: Sequence) -> float:
    """Mean relative error of depth after the scale of each frame was fitted."""
    each = [
        score_image(heard.depth[frame.stamp], clip.reference_depth(i), metric=False)
        for i, frame in enumerate(clip)
        if frame.stamp in heard.depth
    ]
    known = [scores["abs_rel_median_scaled"] for scores in each if len(scores) > 1]
    return float(np.mean(known)) if known else float("nan")


def picture(heard: Heard, clip: Sequence) -> np.ndarray:
    """(H, 3W, 3) uint8 RGB: the last image, its depth, and the cloud seen from the side."""
    frames = [frame for frame in clip if frame.stamp in heard.depth]
    image, depth = frames[-1].image, heard.depth[frames[-1].stamp]
    tiles = [image, depth_colours(depth, *depth_range(depth))]
    if heard.clouds:
        tiles.append(side_view(heard.clouds[-1], image.shape[1], image.shape[0]))
    size = image.shape[1], image.shape[0]
    return np.hstack([cv2.resize(np.ascontiguousarray(tile), size) for tile in tiles])


def side_view(message: PointCloud2, width: int, height: int, angle: float = 0.7) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a cloud, turned about its middle by `angle` radians."""
    cloud = np.frombuffer(message.data, CLOUD_DTYPE)
    points = np.stack([cloud["x"], cloud["y"], cloud["z"]], axis=1)
    middle = np.median(points, axis=0)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    seen = (points - middle) @ turn.T + (0, 0, 1.2 * middle[2])
    u, v = (seen[:, :2] / seen[:, 2:] * 0.87 * width + (width / 2, height / 2)).T.astype(int)
    canvas = np.full((height, width, 3), 24, np.uint8)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    order = np.argsort(-seen[:, 2])  # far ones first
    order = order[inside[order]]
    rgb = cloud["rgb"][order]
    canvas[v[order], u[order]] = np.stack([rgb >> 16, rgb >> 8 & 255, rgb & 255], axis=1)
    return cv2.dilate(canvas, np.ones((3, 3), np.uint8))
