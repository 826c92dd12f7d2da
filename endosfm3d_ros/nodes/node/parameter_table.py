"""The one table of the node's parameters: name, default, meaning, range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from endosfm3d_ros.engines.device import DEVICES
from endosfm3d_ros.engines.settings import PRECISIONS
from endosfm3d_ros.gates.delay import CHOICES
from endosfm3d_ros.inputs.packing import LAYOUTS
from endosfm3d_ros.nodes.messages.marker_shapes import SHAPES
from endosfm3d_ros.pipeline.quality import QualityName
from endosfm3d_ros.sfm.depth_sources import NAMES as DEPTH_SOURCES


@dataclass(frozen=True)
class Spec:
    """One parameter. `live` ones may change while the node is active."""

    name: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        text = self.meaning
        if self.choices:
            text += f"; one of {', '.join(self.choices)}"
        descriptor = ParameterDescriptor(description=text)
        if self.low is not None and isinstance(self.default, float):
            bounds = FloatingPointRange(from_value=float(self.low), to_value=float(self.high))
            descriptor.floating_point_range = [bounds]
        elif self.low is not None:
            bounds = IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)
            descriptor.integer_range = [bounds]
        return descriptor


SPECS = (
    Spec("autostart", True, "configure and activate at start, without a lifecycle manager"),
    Spec(
        "depth_source",
        "auto",
        "where depth comes from; auto takes the best that the first frame can feed",
        choices=DEPTH_SOURCES,
    ),
    Spec(
        "intrinsics_mode",
        "auto",
        "auto believes camera_info until the video contradicts it, estimate ignores it, prior "
        "starts from it, fixed takes it",
        choices=("auto", "estimate", "prior", "fixed"),
    ),
    Spec(
        "scale_source",
        "none",
        "where metres come from if depth has none: the right eye now and then, endoscope_pose, the "
        "8 mm shafts of instruments, or scale_constant",
        choices=("none", "stereo", "kinematics", "tool_shaft", "constant"),
    ),
    Spec("scale_constant", 1.0, "factor on depth whose first median is 0.05", 1e-3, 1e3),
    Spec("weights", "", "name or folder of a weight set; empty takes the first installed"),
    Spec(
        "network_precision",
        "f32",
        "arithmetic of the networks; int8 engines must be built beforehand",
        choices=PRECISIONS,
    ),
    Spec("device", "auto", "what networks run on; auto takes the GPU if any", choices=DEVICES),
    Spec("allow_cpu", False, "device cuda may become cpu, with a warning, where CUDA is missing"),
    Spec("pose_every", 3, "frames from one run of the pose network to the next", 1, 100),
    Spec(
        "quality",
        "auto",
        "detail against age: shares of tissue_width, tissue_budget and the width at which eyes are "
        "matched; auto begins with what the machine can do and goes down while it cannot keep up",
        choices=get_args(QualityName),
    ),
    Spec("tissue_map", True, "keep a deforming map of the tissue, instruments removed"),
    Spec(
        "tissue_budget",
        0.035,
        "s that one update of the map may take, beside what a slow camera leaves idle",
        0.005,
        1.0,
    ),
    Spec("tissue_width", 320, "px; working width of the map", 80, 1920),
    Spec("tissue_capacity", 80_000, "Gaussians in the map at most", 1000, 1_000_000),
    Spec("map_folder", "", "folder that maps are saved below and loaded from; empty: user data"),
    Spec(
        "map_snapshots", 0.0, "s from one saved copy of the map to the next; 0: none", 0.0, 3600.0
    ),
    Spec("map_reload", False, "go on with the last copy of the map after a restart"),
    Spec(
        "tools",
        "auto",
        "where instrument masks come from; auto takes tool_mask where it is published, else a "
        "network, else colour; off looks for no instruments",
        choices=("off", "auto", "topic", "colour", "network"),
    ),
    Spec(
        "tool_models",
        "capsule",
        "where the shape of an instrument comes from",
        choices=("articulated", "capsule", "mesh", "lrm"),
    ),
    Spec("tool_model_path", "", "mesh file in metres, or folder of reconstruction weights"),
    Spec(
        "tool_alignment",
        "joint",
        "how instruments are placed",
        choices=("joint", "paper", "none"),
    ),
    Spec("tool_diameter", 0.008, "m; shaft of a capsule; 0 measures it by metric depth", 0.0, 0.05),
    Spec(
        "marker_meshes",
        "inline",
        "tool markers carry their triangles, or name a file that viewers on this machine can read",
        choices=tuple(SHAPES),
    ),
    Spec("max_tools", 4, "instruments known at one time at most", 1, 16),
    Spec("tool_remake_frames", 30, "bad fits in a row before a new model is made", 30, 10_000),
    Spec(
        "publish_tf",
        "true",
        "inverted puts the map below the optical frame, for a robot that already places it",
        choices=("true", "false", "inverted"),
    ),
    Spec("map_frame", "endoscope_map", "TF frame of the map"),
    Spec("odom_frame", "endoscope_odom", "TF frame that the camera never jumps in"),
    Spec("camera_frame_id", "", "optical frame to use instead of the image's own"),
    Spec(
        "input_reliability",
        "auto",
        "reliability asked of image publishers; auto asks for what they offer",
        choices=("auto", "reliable", "best_effort"),
    ),
    Spec(
        "image_transport",
        "auto",
        "auto takes compressed images where only these are published",
        choices=("auto", "raw", "compressed"),
    ),
    Spec(
        "image_layout",
        "single",
        "what a picture of image_raw holds: one eye, or both side by side or above each other",
        choices=LAYOUTS,
    ),
    Spec(
        "stereo_slop",
        0.016,
        "s between the stamps of a pair, beside a constant offset that is measured; never more "
        "than a quarter of the frame period",
        0.0,
        1.0,
    ),
    Spec(
        "on_time_jump",
        "reset",
        "what to do when stamps jump: start the scene anew, or skip frames until they are newer",
        choices=("reset", "skip"),
    ),
    Spec(
        "image_clock",
        "auto",
        "clock of the images' stamps: shared with this machine, another one, or that of a "
        "recording, which makes nothing late; auto takes delays of minutes for another clock and "
        "shorter ones for what they are",
        choices=CHOICES,
    ),
    Spec("still_pictures", False, "accept pictures that do not change, for trying out with stills"),
    Spec("min_depth", 0.018, "m; nearer stereo depth is not searched", 0.005, 1.0),
    Spec("max_depth", 0.30, "m; farther stereo depth is invalid", 0.02, 10.0),
    Spec("max_points", 40_000, "points in one cloud", 100, 5_000_000, live=True),
    Spec("cloud_rate", 10.0, "Hz at which clouds are published at most", 0.1, 120.0, live=True),
    Spec("mark_inferred", True, "tint what was never seen in ~/tissue/composite", live=True),
    Spec("stale_warn", 0.5, "s without an image, or of delay, before a warning", 0.05, 60.0),
    Spec("stale_error", 2.0, "s of the same before an error", 0.1, 600.0),
    Spec(
        "memory_limit",
        0.0,
        "MB of the process, near which detail is given up; 0: 80 % of the machine or container",
        0.0,
        1e6,
    ),
    Spec(
        "flight_recorder",
        0.0,
        "s of inputs, outputs and status that are kept, and written as a bag when an error begins "
        "or ~/save_flight is called; 0: off",
        0.0,
        120.0,
    ),
    Spec("flight_memory", 256.0, "MB that these may take", 1.0, 16_384.0),
    Spec("flight_folder", "", "folder of flights, of which ten are kept; empty: user data"),
    Spec("max_failures", 3, "failed frames in a row that deactivate the node", 1, 1000),
)
BY_NAME = {spec.name: spec for spec in SPECS}
