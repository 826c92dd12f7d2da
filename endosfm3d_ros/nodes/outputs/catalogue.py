"""The one list of what a scene says: publisher, recorder, rehearsal and documents walk it."""

from __future__ import annotations

from endosfm3d_ros.nodes.messages.output import Output, Topic
from endosfm3d_ros.nodes.messages.scene import CameraOutput, CloudOutput, DepthOutput
from endosfm3d_ros.pipeline.pipeline import Pipeline


def scene_outputs(pipeline: Pipeline, marker_meshes: str = "inline") -> list[Output]:
    """Outputs in the order they go out: poses first, then images, then the cloud of everything.

    What map and instruments need is imported only where the pipeline has them.

    Args:
        pipeline: whose stages speak.
        marker_meshes: kind of `marker_shapes`.
    """
    outputs: list[Output] = [CameraOutput(), DepthOutput()]
    if pipeline.tissue is not None:
        from endosfm3d_ros.nodes.messages.tissue import TissueOutput

        outputs.append(TissueOutput())
    if pipeline.tools is not None:
        from endosfm3d_ros.nodes.messages.tools import ToolOutput

        outputs.append(ToolOutput(marker_meshes))
    return [*outputs, CloudOutput()]


def topics_of(outputs: list[Output]) -> dict[str, Topic]:
    """{name below the node's own: topic} of all of them."""
    return {name: topic for output in outputs for name, topic in output.topics.items()}


def all_topics() -> dict[str, Topic]:
    """Those of a pipeline with everything on."""
    from endosfm3d_ros.nodes.messages.tissue import TissueOutput
    from endosfm3d_ros.nodes.messages.tools import ToolOutput

    kinds = (CameraOutput, DepthOutput, TissueOutput, ToolOutput, CloudOutput)
    return {name: topic for kind in kinds for name, topic in kind.topics.items()}
