"""The outputs of the stages that a pipeline has."""

from __future__ import annotations

from endosfm3d_ros.nodes.outputs.publishers import ExtraOutputs
from endosfm3d_ros.pipeline.pipeline import Pipeline


def stage_outputs(
    pipeline: Pipeline, max_points: int, marker_meshes: str = "inline"
) -> list[ExtraOutputs]:
    """Outputs of map and instruments, where the pipeline has them; imports what these need.

    Args:
        pipeline: whose stages speak.
        max_points: of a cloud.
        marker_meshes: kind of `marker_shapes`.
    """
    extras: list[ExtraOutputs] = []
    if pipeline.tissue is not None:
        from endosfm3d_ros.nodes.messages.tissue import TissueOutputs

        extras.append(TissueOutputs(max_points))
    if pipeline.tools is not None:
        from endosfm3d_ros.nodes.messages.tools import ToolOutputs

        extras.append(ToolOutputs(marker_meshes))
    return extras
