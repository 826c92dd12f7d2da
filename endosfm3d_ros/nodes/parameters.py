"""Every parameter of the pipeline node: name, default, meaning, range; declared from one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.engines.device import DEVICES
from endosfm3d_ros.engines.settings import PRECISIONS
from endosfm3d_ros.inputs.packing import LAYOUTS
from endosfm3d_ros.nodes.assembler import SECOND, AssemblerConfig
from endosfm3d_ros.nodes.health import HealthConfig
from endosfm3d_ros.nodes.marker_shapes import SHAPES
from endosfm3d_ros.nodes.parameter_values import check_frames, meant, refuse_unknown
from endosfm3d_ros.pipeline import PipelineConfig
from endosfm3d_ros.quality import QualityName
from endosfm3d_ros.sfm.endosfm3d import EndoSfM3DConfig
from endosfm3d_ros.sfm.estimator import EstimatorConfig
from endosfm3d_ros.sfm.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.scale import ScaleConfig
from endosfm3d_ros.sfm.stereo import StereoConfig
from endosfm3d_ros.sfm.weights import find_weights

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.map import TissueConfig
    from endosfm3d_ros.tools.stage import ToolsConfig


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
        choices=("auto", "topic", "stereo", "endosfm3d", "shading"),
    ),
    Spec(
        "intrinsics_mode",
        "estimate",
        "estimate ignores camera_info, prior starts from it, fixed believes it",
        choices=("estimate", "prior", "fixed"),
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
        choices=("capsule", "mesh", "lrm"),
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
    Spec("min_depth", 0.018, "m; nearer stereo depth is not searched", 0.005, 1.0),
    Spec("max_depth", 0.30, "m; farther stereo depth is invalid", 0.02, 10.0),
    Spec("max_points", 40_000, "points in one cloud", 100, 5_000_000, live=True),
    Spec("cloud_rate", 10.0, "Hz at which clouds are published at most", 0.1, 120.0, live=True),
    Spec("stale_warn", 0.5, "s without an image before a warning", 0.05, 60.0),
    Spec("stale_error", 2.0, "s without an image before an error", 0.1, 600.0),
    Spec("max_failures", 3, "failed frames in a row that deactivate the node", 1, 1000),
)
BY_NAME = {spec.name: spec for spec in SPECS}


def declare(node: Node) -> None:
    """Declare every parameter with its description and range; what was given is taken as meant.

    Raises:
        ConfigurationError: a parameter was given that is none.
        ParameterException: of rclpy, where a value is out of range or of another type.
    """
    given = node._parameter_overrides  # there is no public way to what the command line named
    refuse_unknown(given, BY_NAME)
    for spec in SPECS:
        if spec.name in given:
            given[spec.name] = as_meant([given[spec.name]])[0]
        node.declare_parameter(spec.name, spec.default, spec.descriptor())
    node.add_pre_set_parameters_callback(as_meant)


def as_meant(parameters: list[Parameter]) -> list[Parameter]:
    """The same parameters in the types that they are declared with."""
    converted = []
    for parameter in parameters:
        spec = BY_NAME.get(parameter.name)
        if spec is not None:
            value = meant(parameter.value, spec.default, spec.choices)
            parameter = Parameter(parameter.name, value=value)  # noqa: PLW2901
        converted.append(parameter)
    return converted


def check(parameters: list[Parameter], configured: bool) -> SetParametersResult:
    """Refuse unknown choices, an order of limits that makes no sense, and late changes."""
    for parameter in parameters:
        spec = BY_NAME.get(parameter.name)
        if spec is None:
            continue
        if configured and not spec.live:
            return _refused(f"{spec.name} can only change while the node is unconfigured")
        if spec.choices and parameter.value not in spec.choices:
            accepted = ", ".join(spec.choices)
            return _refused(f"{spec.name}: '{parameter.value}' is none of {accepted}")
    return SetParametersResult(successful=True)


def _refused(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)


def values_of(node: Node) -> dict[str, Any]:
    """Every parameter's value by name."""
    return {spec.name: node.get_parameter(spec.name).value for spec in SPECS}


def pipeline_config(values: dict[str, Any]) -> PipelineConfig:
    """Settings of the core.

    Raises:
        ConfigurationError: a combination that the core does not accept, names of frames that TF
            does not, or weights that are not installed.
    """
    check_frames(values)
    if values["weights"]:
        find_weights(values["weights"])
    stereo = StereoConfig(min_depth=values["min_depth"], max_depth=values["max_depth"])
    network = EndoSfM3DConfig(
        weights=values["weights"],
        pose_every=values["pose_every"],
        engines=_engine_settings(values),
    )
    return PipelineConfig(
        sfm=EstimatorConfig(
            depth_source=values["depth_source"],
            stereo=stereo,
            network=network,
            intrinsics=IntrinsicsConfig(mode=values["intrinsics_mode"]),
            scale=ScaleConfig(values["scale_source"], values["scale_constant"]),
            background=True,
        ),
        tools=_tools_config(values),
        tissue=_tissue_config(values),
        tissue_budget=values["tissue_budget"],
        quality=values["quality"],
    )


def _engine_settings(values: dict[str, Any]) -> EngineSettings:
    """Of all networks; a device that is missing is an error now, whatever the depth source."""
    settings = EngineSettings(
        device=values["device"],
        allow_cpu=values["allow_cpu"],
        precision=values["network_precision"],
    )
    settings.resolved_device()
    return settings


def _tools_config(values: dict[str, Any]) -> ToolsConfig | None:
    if values["tools"] == "off":
        return None
    from endosfm3d_ros.tools.stage import ToolsConfig

    return ToolsConfig(
        masks=values["tools"],
        models=values["tool_models"],
        model_path=values["tool_model_path"],
        alignment=values["tool_alignment"],
        shaft_diameter=values["tool_diameter"],
        max_tools=values["max_tools"],
        remake_frames=values["tool_remake_frames"],
        engine=_engine_settings(values),
    )


def _tissue_config(values: dict[str, Any]) -> TissueConfig | None:
    if not values["tissue_map"]:
        return None
    from endosfm3d_ros.tissue.map import TissueConfig

    return TissueConfig(width=values["tissue_width"], capacity=values["tissue_capacity"])


def assembler_config(values: dict[str, Any]) -> AssemblerConfig:
    """Settings of the input side."""
    slop = round(values["stereo_slop"] * SECOND)
    return AssemblerConfig(slop=slop, on_jump=values["on_time_jump"])


def health_config(values: dict[str, Any]) -> HealthConfig:
    """Settings of the watchdog."""
    return HealthConfig(stale_warn=values["stale_warn"], stale_error=values["stale_error"])
