"""Room for images in shared memory, unless the user chose a DDS profile."""

from __future__ import annotations

import os
from pathlib import Path

import endosfm3d_ros

VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def use_large_messages() -> None:
    """Point Fast DDS at the package's profile; call it before `rclpy.init`.

    Without it a segment of 0.5 MB is used, through which an image of 4 MB does not fit.
    """
    if VARIABLE not in os.environ:
        for folder in profile_folders():
            profile = folder / "config" / "fastdds.xml"
            if profile.is_file():
                os.environ[VARIABLE] = str(profile)
                return


def profile_folders() -> list[Path]:
    """Where `config/` may lie: beside a checkout's package, or in the ament share folders."""
    checkouts = [Path(path).parent for path in endosfm3d_ros.__path__]
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    site = Path(endosfm3d_ros.__path__[0])
    prefixes += [str(site.parents[i]) for i in range(min(5, len(site.parents)))]
    shares = [Path(prefix) / "share" / "endosfm3d_ros" for prefix in prefixes if prefix]
    return [*checkouts, *shares]
