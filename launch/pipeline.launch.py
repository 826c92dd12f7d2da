"""Starts the pipeline, optionally with a bag, RViz and a DDS profile for large messages.

On a dVRK `ros2 launch endosfm3d_ros pipeline.launch.py camera_ns:=/jhu_daVinci/left` is enough.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory("endosfm3d_ros"))

ARGUMENTS = {
    "camera_ns": ("/endoscope/left", "namespace of the left (or only) eye's image_raw"),
    "right_ns": ("", "namespace of the right eye; empty: camera_ns with left replaced by right"),
    "image_topic": ("image_raw", "image topic within camera_ns and right_ns"),
    "tool_mask": ("", "topic of instrument labels; empty: tool_mask within camera_ns"),
    "depth_in": ("depth_in", "topic of external depth"),
    "endoscope_pose": ("endoscope_pose", "topic of the endoscope's measured_cp"),
    "params_file": (str(SHARE / "config" / "pipeline.yaml"), "parameters of the node"),
    "bag": ("", "bag to play; sets use_sim_time"),
    "bag_rate": ("1.0", "speed of the bag"),
    "bag_loop": ("false", "play the bag again and again; each round is a new scene"),
    "rviz": ("false", "start RViz with the package's configuration"),
    "use_sim_time": ("false", "take time from /clock"),
    "depth_source": ("auto", "auto, topic, stereo, endosfm3d or shading"),
    "tissue_map": ("", "true or false: keep a deforming map of the tissue; empty: as params_file"),
    "tools": ("", "off, auto, topic, colour or network: source of masks; empty: as params_file"),
    "log_level": ("info", "debug, info, warn, error"),
    "autostart": ("true", "configure and activate at once"),
    "large_messages": ("true", "use the Fast DDS profile with 16 MB of shared memory"),
}


def right_namespace(camera_ns: str, right_ns: str) -> str:
    """Where the right eye publishes."""
    if right_ns:
        return right_ns
    head, _, tail = camera_ns.rpartition("left")
    return f"{head}right{tail}" if head or tail else f"{camera_ns}/right"


def actions(context: LaunchContext) -> list[Action]:
    """The node, the bag player and RViz, with every argument resolved."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    left, image = value["camera_ns"].rstrip("/"), value["image_topic"]
    right = right_namespace(left, value["right_ns"].rstrip("/"))
    value["tool_mask"] = value["tool_mask"] or f"{left}/tool_mask"
    sim_time = value["use_sim_time"] == "true" or bool(value["bag"])
    remappings = [
        ("image_raw", f"{left}/{image}"),
        ("image_raw/compressed", f"{left}/{image}/compressed"),
        ("camera_info", f"{left}/camera_info"),
        ("right/image_raw", f"{right}/{image}"),
        ("right/image_raw/compressed", f"{right}/{image}/compressed"),
        ("right/camera_info", f"{right}/camera_info"),
        *((name, value[name]) for name in ("tool_mask", "depth_in", "endoscope_pose")),
    ]
    overrides = {
        "use_sim_time": sim_time,
        "depth_source": value["depth_source"],
        "autostart": value["autostart"] == "true",
    }
    if value["tissue_map"]:
        overrides["tissue_map"] = value["tissue_map"] == "true"
    if value["tools"]:
        overrides["tools"] = value["tools"]
    node = Node(
        package="endosfm3d_ros",
        executable="pipeline",
        name="endosfm3d",
        namespace="",
        output="screen",
        parameters=[value["params_file"], overrides],
        remappings=remappings,
        ros_arguments=["--log-level", value["log_level"]],
    )
    # The delay lets the node start listening before the first image.
    play = ["ros2", "bag", "play", value["bag"], "--delay", "3", "--clock", "200"]
    play += ["--rate", value["bag_rate"], "--read-ahead-queue-size", "1000"]
    play += ["--loop"] * (value["bag_loop"] == "true")
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(SHARE / "config" / "endoscope.rviz")],
        parameters=[{"use_sim_time": sim_time}],
    )
    optional = {
        ExecuteProcess(cmd=play, output="screen"): bool(value["bag"]),
        rviz: value["rviz"] == "true",
    }
    return [node, *(action for action, wanted in optional.items() if wanted)]


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, pipeline, RViz."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in ARGUMENTS.items()
    ]
    profile = SetEnvironmentVariable(
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        str(SHARE / "config" / "fastdds.xml"),
        condition=IfCondition(LaunchConfiguration("large_messages")),
    )
    return LaunchDescription([*arguments, profile, OpaqueFunction(function=actions)])
