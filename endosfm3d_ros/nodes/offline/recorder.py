"""What the live node would publish, written to a bag; other files are those of `run_folder`."""

from __future__ import annotations

from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.msg import PipelineStatus
from endosfm3d_ros.nodes.messages.conversions import compressed_message, header
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.output import PublishContext
from endosfm3d_ros.nodes.messages.scene import transforms
from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
from endosfm3d_ros.nodes.outputs.catalogue import scene_outputs
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import SceneUpdate, TrackingState

NODE = "/endosfm3d"  # the private topics of the node by that name
INPUT = "/endoscope/left/image_raw/compressed"


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
        self._outputs = scene_outputs(pipeline)
        self._count = 0

    def add(self, update: SceneUpdate) -> None:
        """The result of one frame: all that the scene says, as if somebody listened to it."""
        names, stamp = self._names.at(update.frame.frame_id), update.frame.stamp
        self._count += 1
        self._bag.write(INPUT, _image(update, names), stamp)
        self._bag.write("/tf", TFMessage(transforms=transforms(update, names)), stamp)
        self._bag.write(f"{NODE}/status", self._status(update), stamp)
        age = update.timings.get("total", 0.0) * 1e-3 if self._live else 0.0
        for output in self._outputs:
            recorded = frozenset(name for name, t in output.topics.items() if t.recorded)
            context = PublishContext(names, recorded, clouds=True, age=age)
            for name, message in output.messages(update, context):
                latched = output.topics[name].latched
                self._bag.write(f"{NODE}/{name}", message, stamp, latched=latched)

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
