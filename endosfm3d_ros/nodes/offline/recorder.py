"""What the live node would publish, written to a bag; other files are those of `run_folder`."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.msg import PipelineStatus
from endosfm3d_ros.nodes.messages import scene as scene_messages
from endosfm3d_ros.nodes.messages.conversions import compressed_message, header
from endosfm3d_ros.nodes.messages.scene import FrameNames
from endosfm3d_ros.nodes.messages.stage_output import PublishContext
from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
from endosfm3d_ros.nodes.outputs.stage_outputs import stage_outputs
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import SceneUpdate, TrackingState

NODE = "/endosfm3d"  # the private topics of the node by that name
INPUT = "/endoscope/left/image_raw/compressed"
MAX_POINTS = 40_000  # of one cloud message
LARGE = {"tissue/gaussians"}  # not recorded: the file of the map says the same once


class Recorder:
    """Writes every update of a run, with the image it came from and a status.

    Args:
        bag: open writer.
        pipeline: that makes the updates.
        live: whether frames age while they are computed; else what is written does not depend on
            the speed of the machine.
    """

    def __init__(self, bag: BagWriter, pipeline: Pipeline, live: bool = False) -> None:
        self._bag = bag
        self._live = live
        self._names = FrameNames()
        self._stages = stage_outputs(pipeline, MAX_POINTS)
        self._count = 0

    def add(self, update: SceneUpdate) -> None:
        """The result of one frame."""
        names = scene_messages.named(self._names, update.frame.frame_id)
        stamp = update.frame.stamp
        self._count += 1
        messages: dict[str, Any] = {
            **scene_messages.pose_messages(update, names),
            **scene_messages.camera_messages(update, names),
            **scene_messages.depth_messages(update, names),
            "points": scene_messages.points_message(update, names, MAX_POINTS),
            "status": self._status(update),
        }
        self._bag.write(INPUT, _image(update, names), stamp)
        self._bag.write(
            "/tf", TFMessage(transforms=scene_messages.transforms(update, names)), stamp
        )
        for topic, message in messages.items():
            self._bag.write(f"{NODE}/{topic}", message, stamp, latched=topic == "intrinsics")
        self._write_stages(update, names)

    def _write_stages(self, update: SceneUpdate, names: FrameNames) -> None:
        """What the optional stages say, as if somebody listened to all of it."""
        age = update.timings.get("total", 0.0) * 1e-3 if self._live else 0.0
        for stage in self._stages:
            context = PublishContext(names, frozenset(stage.topics) - LARGE, clouds=True, age=age)
            for topic, message in stage.messages(update, context):
                self._bag.write(f"{NODE}/{topic}", message, update.frame.stamp)

    def _status(self, update: SceneUpdate) -> PipelineStatus:
        """What is known of one frame; rates and latencies belong to a live node."""
        nan, scale, report = float("nan"), update.scale, update.report
        lost = update.pose.state == TrackingState.LOST
        return PipelineStatus(
            header=header(update.frame.stamp, update.frame.frame_id),
            level=PipelineStatus.WARN if lost else PipelineStatus.OK,
            message="tracking is lost, the pose is held" if lost else "recorded offline",
            depth_source=update.depth.source,
            scale_source=update.depth.scale.value,
            scale_factor=nan if scale is None else scale.factor,
            scale_sigma=nan if scale is None else scale.sigma,
            backend=report.backend,
            tracking=update.pose.state.value,
            intrinsics_mode=report.intrinsics_mode,
            k_seen_by=report.k_seen_by,
            quality=report.quality,
            frames_received=self._count,
            frames_processed=self._count,
            expected_rate_hz=nan,
            depth_coverage=update.depth.coverage,
        )


def _image(update: SceneUpdate, names: FrameNames) -> CompressedImage:
    """The image as it came, as JPEG: for people who look at the bag."""
    return compressed_message(update.frame.image, "jpeg", update.frame.stamp, names.camera)
