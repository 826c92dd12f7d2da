"""What `dvrk.launch.py` hands to the launch file of the pipeline; knows no launch.

A rig is the name that dvrk_video gives to a stereo endoscope, as `stereo_rig_name`.
"""

from __future__ import annotations

from collections.abc import Mapping

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.node import launching

FILE = "dvrk.launch.py"
TWO_TOPICS = "two_topics"
LAYOUTS = {  # of the video nodes -> (namespace of the left eye, image_layout of the node)
    TWO_TOPICS: ("/{rig}/left", ""),
    "two_topics_camera": ("/{rig}/left/camera", ""),
    "side_by_side": ("/{rig}", "side_by_side"),
}
OWN = {
    "rig": ("jhu_daVinci", "stereo_rig_name of the video nodes"),
    "layout": (TWO_TOPICS, ", ".join(LAYOUTS)),
    "optical_centre": (
        "",
        "topic with the pose of the left optical centre, PoseStamped in metres; /ECM/measured_cp "
        "is that of the arm's tip. Empty: no pose, and scale from elsewhere",
    ),
}
DECIDED = ("camera_ns", "right_ns", "image_layout", "endoscope_pose")  # by the arguments above
PASSED = {name: each for name, each in launching.ARGUMENTS.items() if name not in DECIDED}
ARGUMENTS = OWN | PASSED


def arguments_of(value: Mapping[str, str]) -> dict[str, str]:
    """Arguments of the pipeline's launch file.

    Args:
        value: of every one of `ARGUMENTS`.

    Raises:
        ConfigurationError: a layout that there is not, or a rig without a name.
    """
    rig, layout = value["rig"].strip("/"), value["layout"]
    if layout not in LAYOUTS:
        raise ConfigurationError(f"layout '{layout}': accepted are {', '.join(LAYOUTS)}")
    if not rig:
        raise ConfigurationError("rig '': the stereo_rig_name of the video nodes is needed")
    camera, image_layout = LAYOUTS[layout]
    arguments = {name: value[name] for name in PASSED}
    arguments |= {"camera_ns": camera.format(rig=rig), "image_layout": image_layout}
    if not value["optical_centre"]:
        return arguments
    arguments["endoscope_pose"] = value["optical_centre"]
    if not value["scale_source"]:
        arguments["scale_source"] = "kinematics"
    return arguments
