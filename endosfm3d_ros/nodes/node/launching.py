"""What the launch file starts, decided from its arguments; knows no launch.

Every argument is empty by default, which means: as params_file says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.inputs.frame_names import DEFAULT_CAMERA_FRAME
from endosfm3d_ros.nodes.system.dds_variables import LARGE_MESSAGES, PROFILE_VARIABLES, VARIABLE
from endosfm3d_ros.nodes.system.values import boolean

FILE = "pipeline.launch.py"
NAME = "endosfm3d"
ARGUMENTS = {
    "namespace": ("", "namespace of the node, in front of its topics and frames too"),
    "camera_ns": ("/endoscope/left", "namespace of the left (or only) eye's image_raw"),
    "right_ns": ("", "namespace of the right eye; empty: camera_ns with left replaced by right"),
    "image_topic": ("image_raw", "image topic within camera_ns and right_ns"),
    "image_layout": ("", "what a picture holds: single, side_by_side, top_bottom, .."),
    "tool_mask": ("", "topic of instrument labels; empty: tool_mask within camera_ns"),
    "depth_in": ("depth_in", "topic of external depth"),
    "endoscope_pose": ("endoscope_pose", "topic of the endoscope's measured_cp"),
    "params_file": ("", "parameters of the node; empty: those of the package"),
    "bag": ("", "bag to play once the node is active; takes time from it"),
    "bag_rate": ("1.0", "speed of the bag"),
    "bag_loop": ("false", "play the bag again and again; each round is a new scene"),
    "rviz": ("false", "start RViz with the package's configuration"),
    "view": ("false", "show the scene in a browser: endosfm3d view"),
    "view_port": ("8765", "of that page on this machine"),
    "use_sim_time": ("", "take time from /clock"),
    "depth_source": ("", "auto, topic, stereo, endosfm3d or shading"),
    "scale_source": ("", "none, stereo, kinematics, tool_shaft or constant"),
    "device": ("", "what networks run on: auto, cuda or cpu"),
    "quality": ("", "auto, fast, balanced or fine: detail against age"),
    "tissue_map": ("", "keep a deforming map of the tissue"),
    "tools": ("", "off, auto, topic, colour or network: source of masks"),
    "camera_frame_id": ("", "optical frame to use instead of the image's own"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "autostart": ("", "configure and activate at once"),
    "large_messages": ("true", "16 MB of shared memory, unless a DDS profile is chosen already"),
    "respawn": ("false", "start the node again when it ends; else its end is the end of all"),
}
# The installed package, whatever lies in the working directory.
WAIT = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "from endosfm3d_ros.nodes.offline.activity import main; main()"
)
VIEW = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "sys.argv[0] = 'endosfm3d'; from endosfm3d_ros.cli.main import main; main()"
)
BOOLEANS = ("use_sim_time", "tissue_map", "autostart")  # parameters of the node
WORDS = (
    "depth_source", "scale_source", "device", "quality", "tools", "camera_frame_id", "image_layout",
)  # fmt: skip
LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class Plan:
    """Everything that the launch file turns into actions."""

    namespace: str
    params_file: str
    overrides: dict[str, Any]  # parameters that arguments name
    remappings: list[tuple[str, str]]
    ros_arguments: list[str]
    environment: dict[str, str]  # of everything that is started
    bag: list[str]  # command; empty: none is played
    sim_time: bool  # of RViz
    rviz: bool
    view: list[str]  # arguments of the page; empty: there is none
    respawn: bool

    @property
    def node(self) -> str:
        """Full name of the node."""
        return f"/{self.namespace}/{NAME}" if self.namespace else f"/{NAME}"


def plan(value: Mapping[str, str], share: Path, environment: Mapping[str, str]) -> Plan:
    """What the arguments ask for.

    Args:
        value: of every argument.
        share: folder of the package's data files.
        environment: of this process.

    Raises:
        ConfigurationError: a word that is not accepted, or a file or bag that is not there.
    """
    params_file = existing(value["params_file"] or str(share / "config" / "pipeline.yaml"))
    bag = bag_command(value)
    overrides = overrides_of(value, bool(bag))
    namespace = value["namespace"].strip("/")
    large = boolean(value["large_messages"], "large_messages")
    if namespace:
        overrides = frames_within(namespace, Path(params_file)) | overrides
    if value["log_level"].lower() not in LEVELS:
        raise ConfigurationError(f"log_level '{value['log_level']}': {', '.join(LEVELS)}")
    return Plan(
        namespace=namespace,
        params_file=params_file,
        overrides=overrides,
        remappings=remappings(value),
        ros_arguments=["--log-level", value["log_level"].lower()],
        environment=transport(large, share, environment),
        bag=bag,
        sim_time=overrides.get("use_sim_time", False),
        rviz=boolean(value["rviz"], "rviz"),
        view=view_arguments(value, namespace),
        respawn=boolean(value["respawn"], "respawn"),
    )


def view_arguments(value: Mapping[str, str], namespace: str) -> list[str]:
    """Of `endosfm3d view`; empty where the page is not wanted.

    Raises:
        ConfigurationError: a port that is none.
    """
    if not boolean(value["view"], "view"):
        return []
    port = value["view_port"]
    if not (port.isdecimal() and int(port) < 65536):
        raise ConfigurationError(f"view_port '{port}': 0 to 65535 is accepted")
    name = f"/{namespace}/{NAME}" if namespace else f"/{NAME}"
    return ["view", "--node", name, "--port", port]


def overrides_of(value: Mapping[str, str], with_bag: bool) -> dict[str, Any]:
    """Parameters that an argument names; all others are as params_file says."""
    overrides: dict[str, Any] = {"use_sim_time": True} if with_bag else {}
    overrides |= {name: boolean(value[name], name) for name in BOOLEANS if value[name]}
    return overrides | {name: value[name] for name in WORDS if value[name]}


def right_namespace(camera_ns: str, right_ns: str) -> str:
    """Where the right eye publishes."""
    if right_ns:
        return right_ns
    head, left, tail = camera_ns.rpartition("left")
    return f"{head}right{tail}" if left else f"{camera_ns}/right"


def remappings(value: Mapping[str, str]) -> list[tuple[str, str]]:
    """(topic of the node, topic outside) of every input."""
    left, image = value["camera_ns"].rstrip("/"), value["image_topic"]
    right = right_namespace(left, value["right_ns"].rstrip("/"))
    return [
        ("image_raw", f"{left}/{image}"),
        ("image_raw/compressed", f"{left}/{image}/compressed"),
        ("camera_info", f"{left}/camera_info"),
        ("right/image_raw", f"{right}/{image}"),
        ("right/image_raw/compressed", f"{right}/{image}/compressed"),
        ("right/camera_info", f"{right}/camera_info"),
        ("tool_mask", value["tool_mask"] or f"{left}/tool_mask"),
        ("depth_in", value["depth_in"]),
        ("endoscope_pose", value["endoscope_pose"]),
    ]


def frames_within(namespace: str, params_file: Path) -> dict[str, str]:
    """Frames of a camera of its own: those of the parameters behind the namespace.

    Two cameras that nothing ties together must not meet in TF; and drivers of the same kind all
    call their optical frame the same.
    """
    given = parameters_in(params_file)
    defaults = {
        "map_frame": "endoscope_map",
        "odom_frame": "endoscope_odom",
        "camera_frame_id": DEFAULT_CAMERA_FRAME,
    }
    return {key: f"{namespace}/{given.get(key) or name}" for key, name in defaults.items()}


def parameters_in(path: Path) -> dict[str, Any]:
    """What a parameter file says to the node, whatever it calls it.

    Raises:
        ConfigurationError: no YAML, or none with ros__parameters.
    """
    try:
        content = yaml.safe_load(path.read_text())
        sections = [
            section["ros__parameters"] for name, section in content.items()
            if name.strip("/").rpartition("/")[2] in (NAME, "*", "**")
        ]  # fmt: skip
        return {name: value for section in sections for name, value in section.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(
            f"params_file {path}: parameters of nodes in YAML are accepted ({reason})"
        ) from error


def bag_command(value: Mapping[str, str]) -> list[str]:
    """Plays the bag; empty where none is named.

    Raises:
        ConfigurationError: there is no such bag, or a speed that is none.
    """
    loop = boolean(value["bag_loop"], "bag_loop")
    if not value["bag"]:
        return []
    try:
        rate = float(value["bag_rate"])
    except ValueError:
        rate = 0.0
    if not 0.0 < rate < 1000.0:
        raise ConfigurationError(f"bag_rate '{value['bag_rate']}': a number above 0 is accepted")
    command = ["ros2", "bag", "play", existing(value["bag"]), "--clock", "200"]
    command += ["--rate", str(rate), "--read-ahead-queue-size", "1000"]
    return command + ["--loop"] * loop


def existing(name: str) -> str:
    """The path with `~` expanded.

    Raises:
        ConfigurationError: it is not there.
    """
    path = os.path.expanduser(name)
    if not os.path.exists(path):
        raise ConfigurationError(f"{name} does not exist")
    return path


def transport(large: bool, share: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that choose the shared memory; a profile that somebody chose stays."""
    if not large:
        return {LARGE_MESSAGES: "false"}
    if any(environment.get(name) for name in PROFILE_VARIABLES):
        return {}
    return {VARIABLE: str(share / "config" / "fastdds.xml")}


def refuse_unknown_arguments(
    argv: Iterable[str],
    command: Iterable[str] = sys.argv,
    file: str = FILE,
    accepted: Iterable[str] = ARGUMENTS,
) -> None:
    """A misspelt argument would be ignored. Included files hear what is meant for others.

    Args:
        argv: `name:=value` as they were given.
        command: of the process; whether it names the launch file.
        file: name of the launch file.
        accepted: names of its arguments.

    Raises:
        ConfigurationError: a name that this launch file does not have, with the nearest one.
    """
    if not any(Path(word).name == file for word in command):
        return
    for name in (word.partition(":=")[0] for word in argv if ":=" in word):
        if name not in accepted:
            near = get_close_matches(name, accepted, 1, 0.0)[0]
            raise ConfigurationError(f"unknown argument '{name}': did you mean '{near}'?")
