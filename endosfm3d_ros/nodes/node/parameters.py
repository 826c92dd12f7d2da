"""The node's parameters: declared and checked by the table, and what they mean for the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.nodes.health.health import HealthConfig
from endosfm3d_ros.nodes.node.parameter_table import BY_NAME, SPECS
from endosfm3d_ros.nodes.system.values import check_frames, meant, refuse_unknown
from endosfm3d_ros.pipeline.pipeline import PipelineConfig
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.sfm.depth.stereo import StereoConfig
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3DConfig
from endosfm3d_ros.sfm.endosfm3d.weights import find_weights
from endosfm3d_ros.sfm.scale.normaliser import ScaleConfig

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.map import TissueConfig
    from endosfm3d_ros.tools.stage import ToolsConfig


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


def health_config(values: dict[str, Any]) -> HealthConfig:
    """Settings of the watchdog."""
    return HealthConfig(stale_warn=values["stale_warn"], stale_error=values["stale_error"])
