"""The shipped launch file on a bag: depth, camera_info, TF and points are seen; SIGINT ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

launch = pytest.importorskip(
    "launch", reason="launch is not installed (a ROS 2 installation has it)"
)
launch_pytest = pytest.importorskip("launch_pytest", reason="launch_pytest is not installed")
pytest.importorskip("launch_ros", reason="launch_ros is not installed")

from ament_index_python.packages import get_package_share_directory  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from node_harness import LEFT, Probe  # noqa: E402

from launch import LaunchDescription  # noqa: E402

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

WANTED = ("depth/image", "depth/camera_info", "camera_info", "odometry", "points", "status")


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    """A simulated clip as a bag, made by the installed command."""
    folder = tmp_path_factory.mktemp("launch")
    command = [sys.executable, "-m", "endosfm3d_ros.cli.main"]
    clip = ["simulate", "breathing", str(folder / "clip"), "--frames", "60", "--size", "320x256"]
    subprocess.run([*command, *clip], check=True)
    subprocess.run([*command, "convert", str(folder / "clip"), str(folder / "bag")], check=True)
    return folder / "bag"


def launch_file() -> str:
    return str(Path(get_package_share_directory("endosfm3d_ros"), "launch", "pipeline.launch.py"))


@launch_pytest.fixture
def pipeline(bag: Path) -> LaunchDescription:
    source = PythonLaunchDescriptionSource(launch_file())
    # Over and over: the first start builds engines while the bag already plays.
    arguments = {"bag": str(bag), "bag_loop": "true"}.items()
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


def test_sigint_ends_the_launch_with_exit_code_0(bag):
    command = ["ros2", "launch", launch_file(), f"bag:={bag}"]
    process = subprocess.Popen(command, start_new_session=True)
    time.sleep(8.0)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20.0) == 0
