"""Room for images in shared memory, unless the user chose a DDS profile; a folder for logs."""

from __future__ import annotations

import os

from endosfm3d_ros.files.locations import log_folder
from endosfm3d_ros.nodes.system.dds_variables import LARGE_MESSAGES, PROFILE_VARIABLES, VARIABLE
from endosfm3d_ros.nodes.system.share import shared_file
from endosfm3d_ros.nodes.system.values import boolean


def use_large_messages() -> None:
    """Point Fast DDS at the package's profile; call it before `rclpy.init`.

    Without it a segment of 0.5 MB is used, through which an image of 4 MB does not fit.
    """
    if not boolean(os.environ.get(LARGE_MESSAGES) or "true", LARGE_MESSAGES):
        return
    profile = shared_file("config/fastdds.xml")
    chosen = any(os.environ.get(name) for name in PROFILE_VARIABLES)
    if not chosen and profile is not None:
        os.environ[VARIABLE] = str(profile)


def use_writable_logs() -> None:
    """Let ROS log somewhere: without a folder that it can write, `rclpy.init` fails."""
    os.environ.setdefault("ROS_LOG_DIR", str(log_folder()))


def prepare_environment() -> None:
    """What the process needs around it; call it before `rclpy.init`."""
    use_large_messages()
    use_writable_logs()
