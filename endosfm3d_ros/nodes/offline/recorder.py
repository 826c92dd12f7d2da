"""What the live node would publish, written to a bag; other files are those of `SceneFiles`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.output import PublishContext
from endosfm3d_ros.nodes.messages.scene import transforms
from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
from endosfm3d_ros.nodes.outputs.catalogue import scene_outputs
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.runtime.timing import LatencyWindow
from endosfm3d_ros.scene.files import SceneFiles
from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState

NODE = "/endosfm3d"  # the private topics of the node by that name


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
        self._outputs = scene_outputs(pipeline)
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
        """All that the scene says, as if somebody listened to all of it."""
        names, stamp = self._names.at(update.frame.frame_id), update.frame.stamp
        self._bag.write("/tf", TFMessage(transforms=transforms(update, names)), stamp)
        age = update.timings.get("total", 0.0) * 1e-3
        for output in self._outputs:
            recorded = frozenset(name for name, t in output.topics.items() if t.recorded)
            context = PublishContext(names, recorded, clouds=True, age=age)
            for name, message in output.messages(update, context):
                latched = output.topics[name].latched
                self._bag.write(f"{NODE}/{name}", message, stamp, latched=latched)

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
