"""What the live node would publish, written to a bag; other files are those of `SceneFiles`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes.messages import scene as scene_messages
from endosfm3d_ros.nodes.messages.scene import FrameNames
from endosfm3d_ros.nodes.messages.stage_output import PublishContext
from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
from endosfm3d_ros.nodes.outputs.stage_outputs import stage_outputs
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.runtime.timing import LatencyWindow
from endosfm3d_ros.scene.files import SceneFiles
from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState

NODE = "/endosfm3d"  # the private topics of the node by that name
MAX_POINTS = 40_000  # of one cloud message
LARGE = {"tissue/gaussians"}  # not recorded: the file of the map says the same once


class Recorder:
    """Takes every update of a run; `finish` writes what is left to write.

    Args:
        folder: exists and is empty.
        bag: open writer.
        pipeline: that makes the updates.
        fps: of the recording.
    """

    def __init__(self, folder: Path, bag: BagWriter, pipeline: Pipeline, fps: float) -> None:
        self._bag = bag
        self._pipeline = pipeline
        self._names = FrameNames()
        self._stages = stage_outputs(pipeline, MAX_POINTS)
        self._files = SceneFiles(folder, fps)
        self._latency = LatencyWindow(10_000)
        self._last: SceneUpdate | None = None
        self.lost = 0

    def add(self, i: int, update: SceneUpdate) -> None:
        """The result of the frame at position `i`."""
        self._write_messages(update)
        self._files.add(i, update)
        self._latency.add(update.timings)
        self._last = update
        self.lost += update.pose.state == TrackingState.LOST

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
        self._write_stages(update, names)

    def _write_stages(self, update: SceneUpdate, names: FrameNames) -> None:
        """What the optional stages say, as if somebody listened to all of it."""
        age = update.timings.get("total", 0.0) * 1e-3
        for stage in self._stages:
            context = PublishContext(names, frozenset(stage.topics) - LARGE, clouds=True, age=age)
            for topic, message in stage.messages(update, context):
                self._bag.write(f"{NODE}/{topic}", message, update.frame.stamp)

    def finish(self) -> dict[str, Any]:
        """Write the files; returns what is known about the stream for the summary."""
        if self._last is None:
            return {}
        update = self._last
        relative = update.depth.scale == ScaleSource.RELATIVE
        units = "scale-free units, not metres" if relative else "metres"
        counts = self._files.finish(update, self._pipeline.tissue, units)
        stages = self._latency.percentiles()
        return {
            "depth_source": update.depth.source,
            "scale_source": update.depth.scale.value,
            "units": units,
            "lost_frames": self.lost,
            **counts,
            "latency_ms": {name: {"p50": a, "p95": b} for name, (a, b) in stages.items()},
        }
