"""What the live node would publish, written to files: bag, cloud, pictures, summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes import scene_messages
from endosfm3d_ros.nodes.bag_writer import BagWriter
from endosfm3d_ros.nodes.scene_messages import FrameNames
from endosfm3d_ros.scene.accumulator import CloudAccumulator
from endosfm3d_ros.scene.cloud import cloud_from_depth
from endosfm3d_ros.scene.pictures import ContactSheet
from endosfm3d_ros.scene.ply import write_cloud
from endosfm3d_ros.timing import LatencyWindow
from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState

NODE = "/endosfm3d"  # the private topics of the node by that name
ACCUMULATED_POINTS = 20_000  # of one frame
MAX_POINTS = 40_000  # of one cloud message


class Recorder:
    """Takes every update of a run; `finish` writes what is left to write.

    Args:
        folder: exists and is empty.
        bag: open writer.
    """

    def __init__(self, folder: Path, bag: BagWriter) -> None:
        self._folder = folder
        self._bag = bag
        self._names = FrameNames()
        self._sheet = ContactSheet()
        self._scene = CloudAccumulator()
        self._latency = LatencyWindow(10_000)
        self._last: SceneUpdate | None = None
        self.lost = 0

    def add(self, i: int, update: SceneUpdate) -> None:
        """The result of the frame at position `i`."""
        self._write_messages(update)
        self._sheet.add(i, update)
        self._latency.add(update.timings)
        self._last = update
        if update.pose.state == TrackingState.LOST:
            self.lost += 1
        else:
            cloud = cloud_from_depth(update.depth, update.image, ACCUMULATED_POINTS)
            self._scene.add(cloud, update.pose.T_map_camera)

    def _write_messages(self, update: SceneUpdate) -> None:
        names = scene_messages.named(self._names, update.frame.frame_id)
        stamp = update.frame.stamp
        messages: dict[str, Any] = {
            **scene_messages.pose_messages(update, names),
            **scene_messages.camera_messages(update, names),
            **scene_messages.depth_messages(update, names),
            "points": scene_messages.points_message(update, names, MAX_POINTS),
        }
        self._bag.write(
            "/tf", TFMessage(transforms=scene_messages.transforms(update, names)), stamp
        )
        for topic, message in messages.items():
            self._bag.write(f"{NODE}/{topic}", message, stamp, latched=topic == "intrinsics")

    def finish(self) -> dict[str, Any]:
        """Write cloud and pictures; returns what is known about the stream for the summary."""
        if self._last is None:
            return {}
        update = self._last
        relative = update.depth.scale == ScaleSource.RELATIVE
        units = "scale-free units, not metres" if relative else "metres"
        cloud = self._scene.cloud
        if cloud is not None:
            comment = f"endosfm3d_ros: map frame, {units}, scale from {update.depth.scale.value}"
            write_cloud(self._folder / "scene.ply", cloud, comment)
        self._sheet.write(self._folder / "contact_sheet.png")
        stages = self._latency.percentiles()
        return {
            "depth_source": update.depth.source,
            "scale_source": update.depth.scale.value,
            "units": units,
            "lost_frames": self.lost,
            "scene_points": 0 if cloud is None else len(cloud.points),
            "latency_ms": {name: {"p50": a, "p95": b} for name, (a, b) in stages.items()},
        }
