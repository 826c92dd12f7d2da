"""The shipped launch file: on a bag, refused, killed, twice in two namespaces; SIGINT ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

launch = pytest.importorskip(
    "launch", reason="launch is not installed (a ROS 2 installation has it)"
)
launch_pytest = pytest.importorskip("launch_pytest", reason="launch_pytest is not installed")
pytest.importorskip("launch_ros", reason="launch_ros is not installed")

import numpy as np  # noqa: E402
from ament_index_python.packages import get_package_share_directory  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from lifecycle_msgs.msg import State  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from node_harness import LEFT, Probe  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from launch import LaunchDescription  # noqa: E402

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

WANTED = ("depth/image", "depth/camera_info", "camera_info", "odometry", "points", "status")


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    """A simulated clip as a bag, made by the installed command."""
    folder = tmp_path_factory.mktemp("launch")
    command = [sys.executable, "-m", "endosfm3d_ros.cli.main"]
    clip = ["simulate", "breathing", str(folder / "clip"), "--frames", "30", "--size", "160x128"]
    subprocess.run([*command, *clip], check=True)
    subprocess.run([*command, "convert", str(folder / "clip"), str(folder / "bag")], check=True)
    return folder / "bag"


def launch_file(name: str = "pipeline.launch.py") -> str:
    return str(Path(get_package_share_directory("endosfm3d_ros"), "launch", name))


@launch_pytest.fixture
def pipeline(bag: Path) -> LaunchDescription:
    source = PythonLaunchDescriptionSource(launch_file())
    arguments = {"bag": str(bag), "bag_loop": "True"}.items()
    return LaunchDescription(
        [
            IncludeLaunchDescription(source, launch_arguments=arguments),
            launch_pytest.actions.ReadyToTest(),
        ]
    )


@pytest.mark.launch(fixture=pipeline)
def test_a_bag_becomes_depth_camera_poses_and_points():
    probe = Probe()
    try:
        seen = probe.wait(
            lambda: all(probe.messages[topic] for topic in WANTED) and probe.transforms(LEFT), 180.0
        )
        assert seen, {topic: len(probe.messages[topic]) for topic in WANTED}
    finally:
        probe.close()


@pytest.fixture
def ros2_launch(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts the launch file with arguments; its words go to `launch.log`."""
    started: list[subprocess.Popen] = []
    # a launch within this process leaves its variables here
    plain = {name: value for name, value in os.environ.items() if name not in PROFILES}

    def start(*arguments: str, file: str = "", **variables: str) -> subprocess.Popen:
        command = ["ros2", "launch", file or launch_file(), *arguments]
        with (tmp_path / "launch.log").open("w") as log:
            started.append(
                subprocess.Popen(
                    command,
                    start_new_session=True,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=plain | variables,
                )
            )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.close()


def becomes(probe: Probe, state: int, node: str = "/endosfm3d") -> bool:
    """Whether a node reaches a lifecycle state."""
    client = probe.node.create_client(GetState, f"{node}/get_state")

    def reached() -> bool:
        if not client.wait_for_service(0.1):
            return False
        answer = client.call_async(GetState.Request())
        probe.wait(answer.done, 5.0)
        return answer.done() and answer.result().current_state.id == state

    return probe.wait(reached, 120.0)


def pipelines(launched: subprocess.Popen) -> list[psutil.Process]:
    """The node processes of a launch."""
    found = []
    for child in psutil.Process(launched.pid).children(recursive=True):
        with suppress(psutil.Error):  # it ends just now
            found += [child] * ("__node:=endosfm3d" in " ".join(child.cmdline()))
    return found


PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
QUICK = ("tissue_map:=no", "tools:=off", "depth_source:=stereo")


@pytest.mark.parametrize(
    "argument,sentence",
    [
        ("depht_source:=stereo", "did you mean 'depth_source'"),
        ("params_file:=/nowhere.yaml", "does not exist"),
        ("bag:=~/nowhere", "does not exist"),
        ("autostart:=maybe", "is none of true"),
        ("device:=tpu", "none of auto, cuda, cpu"),
    ],
)
def test_what_makes_no_sense_ends_the_launch_with_a_sentence(
    ros2_launch, tmp_path, argument, sentence
):
    assert ros2_launch(argument).wait(60.0) == 1
    assert sentence in (tmp_path / "launch.log").read_text()


def test_the_end_of_the_node_is_the_end_of_the_launch(ros2_launch, probe):
    launched = ros2_launch(*QUICK, "large_messages:=false", "autostart:=False")
    assert becomes(probe, State.PRIMARY_STATE_UNCONFIGURED)
    (node,) = pipelines(launched)
    environment = node.environ()
    assert environment["ENDOSFM3D_LARGE_MESSAGES"] == "false"
    assert not environment.keys() & set(PROFILES)
    node.kill()
    assert launched.wait(30.0) == 1


def test_a_killed_node_comes_back_where_that_is_asked_for(ros2_launch, probe):
    mine = str(Path(launch_file()).parents[1] / "config" / "fastdds.xml")
    launched = ros2_launch(*QUICK, "respawn:=1", FASTDDS_DEFAULT_PROFILES_FILE=mine)
    assert becomes(probe, State.PRIMARY_STATE_ACTIVE)
    (node,) = pipelines(launched)
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in node.environ()  # the user's own is kept
    node.kill()
    assert probe.wait(lambda: pipelines(launched) not in ([], [node]), 30.0)
    assert becomes(probe, State.PRIMARY_STATE_ACTIVE)


def test_two_cameras_live_beside_each_other(ros2_launch, probe, tmp_path):
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters: {tissue_map: off, tools: off, depth_source: shading,"
        " cloud_rate: 5}\n"
    )
    for name in ("one", "two"):
        ros2_launch(f"namespace:={name}", f"camera_ns:=/{name}/left", f"params_file:={parameters}")
    for name in ("one", "two"):
        assert becomes(probe, State.PRIMARY_STATE_ACTIVE, f"/{name}/endosfm3d")
    picture = np.random.default_rng(0).integers(0, 255, (128, 160, 3), np.uint8)
    for name in ("one", "two"):
        topic = f"/{name}/left/image_raw"
        publisher = probe.publisher(topic, Image)
        assert probe.wait(publisher.get_subscription_count)
        probe.send_image(picture, 10**9, topic=topic)
        camera = f"{name}/{LEFT}"
        assert probe.wait(lambda child=camera: probe.transforms(child))
        (placed,) = probe.transforms(camera)
        assert placed.header.frame_id == f"{name}/endoscope_odom"


def test_the_eyes_of_a_dvrk_are_listened_to_by_the_name_of_its_rig(ros2_launch, probe, tmp_path):
    dvrk = launch_file("dvrk.launch.py")
    assert ros2_launch("layout:=three_topics", file=dvrk).wait(60.0) == 1
    assert "accepted are two_topics" in (tmp_path / "launch.log").read_text()
    ros2_launch(*QUICK, "rig:=mine", file=dvrk)
    assert becomes(probe, State.PRIMARY_STATE_ACTIVE)
    for eye in ("left", "right"):
        publisher = probe.publisher(f"/mine/{eye}/image_raw", Image)
        assert probe.wait(publisher.get_subscription_count)


def test_sigint_ends_the_launch_with_exit_code_0(ros2_launch, probe, bag):
    launched = ros2_launch(f"bag:={bag}")
    assert becomes(probe, State.PRIMARY_STATE_ACTIVE)
    os.killpg(launched.pid, signal.SIGINT)
    assert launched.wait(20.0) == 0
