"""The outputs of the stages that a pipeline has."""

from __future__ import annotations

from endosfm3d_ros.nodes.messages.stage_output import StageOutput
from endosfm3d_ros.pipeline.pipeline import Pipeline


def stage_outputs(
    pipeline: Pipeline, max_points: int, marker_meshes: str = "inline"
) -> list[StageOutput]:
    """Outputs of map and instruments, where the pipeline has them; imports what these need.

    Args:
        pipeline: whose stages speak.
        max_points: of a cloud.
        marker_meshes: kind of `marker_shapes`.
    """
    stages: list[StageOutput] = []
    if pipeline.tissue is not None:
        from endosfm3d_ros.nodes.messages.tissue import TissueOutputs

        stages.append(TissueOutputs(max_points))
    if pipeline.tools is not None:
        from endosfm3d_ros.nodes.messages.tools import ToolOutputs

        stages.append(ToolOutputs(marker_meshes))
    return stages
