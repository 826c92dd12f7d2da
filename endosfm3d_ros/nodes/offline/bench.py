"""What the live node costs beyond the computation itself, measured over DDS."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import monotonic

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from endosfm3d_ros.bench.rounds import Result
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.msg import PipelineStatus
from endosfm3d_ros.nodes.messages.conversions import camera_info_message, image_message, nanoseconds
from endosfm3d_ros.nodes.offline.activity import wait_until_active
from endosfm3d_ros.nodes.offline.process import WITHOUT_STAGES, PipelineProcess
from endosfm3d_ros.nodes.outputs.qos import OUTPUT
from endosfm3d_ros.nodes.system.dds_profile import prepare_environment
from endosfm3d_ros.types import Frame

FRAME_ID = "endoscope_left_optical_frame"
SPACING = 10**8  # ns between the stamps
TIMEOUT = 20.0  # s
READY = 600.0  # s until the node is active
SETTINGS = WITHOUT_STAGES | {"max_points": 40000, "quality": "balanced"}


def bench_node(frames: list[Frame], rounds: int) -> Result:
    """Stereo frames through a real node process with all image outputs subscribed.

    `node_overhead` is from the arrival of an image in the node to the end of publishing, less
    the computation; `node_round_trip` is from publishing the image here to receiving its depth.

    Raises:
        EndoError: the node does not answer within 20 s.
    """
    prepare_environment()
    with tempfile.TemporaryDirectory() as folder:
        process = PipelineProcess(Path(folder, "log"), SETTINGS)
        rclpy.init()
        try:
            wait_until_active("/endosfm3d", READY, alive=lambda: process.running)
            feed = Feed()
            trips = [feed.round_trip(frames[i % len(frames)], i) for i in range(rounds)]
            stages = feed.stages()
        finally:
            rclpy.shutdown()
            process.stop()
    p50, p95 = np.percentile(trips, (50, 95))
    return {
        "node_overhead": {**stages["overhead"], "ratio_to": {}},
        "node_publish": {**stages["publish"], "ratio_to": {}},
        "node_round_trip": {"p50_ms": float(p50), "p95_ms": float(p95), "ratio_to": {}},
    }


class Feed:
    """Sends stereo frames and waits for their depth."""

    def __init__(self) -> None:
        self._node = rclpy.create_node("endosfm3d_bench")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._answered: set[int] = set()
        self._status: PipelineStatus | None = None
        types = {"camera_info": CameraInfo, "image_raw": Image}
        self._publishers = {
            eye + topic: self._node.create_publisher(kind, eye + topic, 10)
            for eye in ("", "right/")
            for topic, kind in types.items()
        }
        self._listen("depth/image", Image, lambda m: self._answered.add(_stamp(m)))
        for topic, kind in (("depth/confidence", Image), ("points", PointCloud2)):
            self._listen(topic, kind, lambda m: None)
        self._listen("status", PipelineStatus, lambda m: setattr(self, "_status", m))
        self._wait(lambda: all(p.get_subscription_count() for p in self._publishers.values()))
        self._wait(lambda: self._node.count_publishers("/endosfm3d/depth/image") > 0)

    def round_trip(self, frame: Frame, number: int) -> float:
        """Milliseconds from publishing a frame to receiving its depth."""
        stamp = (number + 1) * SPACING
        messages = self._messages(frame, stamp)
        begin = monotonic()
        for topic, message in messages.items():
            self._publishers[topic].publish(message)
        self._wait(lambda: stamp in self._answered)
        return (monotonic() - begin) * 1e3

    def stages(self) -> dict[str, dict[str, float]]:
        """The node's own percentiles, from its next status message."""
        self._status = None
        self._wait(lambda: self._status is not None)
        return {s.name: {"p50_ms": s.p50_ms, "p95_ms": s.p95_ms} for s in self._status.stages}

    def _messages(self, frame: Frame, stamp: int) -> dict[str, CameraInfo | Image]:
        pair, where = frame.stereo, (stamp, FRAME_ID)
        return {
            "camera_info": camera_info_message(pair.left, *where, pair.R_left, pair.P_left),
            "right/camera_info": camera_info_message(
                pair.right, *where, pair.R_right, pair.P_right
            ),
            "right/image_raw": image_message(frame.right_image, "rgb8", *where),
            "image_raw": image_message(frame.image, "rgb8", *where),
        }

    def _listen(self, topic: str, kind: type, callback: object) -> None:
        self._node.create_subscription(kind, f"/endosfm3d/{topic}", callback, OUTPUT)

    def _wait(self, condition: object) -> None:
        end = monotonic() + TIMEOUT
        while not condition():
            if monotonic() > end:
                raise EndoError(f"the pipeline node did not answer within {TIMEOUT:.0f} s")
            self._executor.spin_once(timeout_sec=0.05)


def _stamp(message: Image) -> int:
    return nanoseconds(message.header.stamp)
