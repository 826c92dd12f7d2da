"""Where the package keeps files of the user: one place for caches, data and logs.

The folders are those of the platform (XDG base directories on Linux). A machine account without a
home, or with one that cannot be written, gets a folder of its own below the temporary directory:
what is built lasts until the machine starts again, and a warning says so.
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import platformdirs

NAME = "endosfm3d"
CACHE_VARIABLE = "ENDOSFM3D_CACHE"

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Engines and compiled libraries: `$ENDOSFM3D_CACHE`, or the user's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    return _writable(platformdirs.user_cache_path(NAME))


def data_folder() -> Path:
    """Weights and models that the user installed; need not exist."""
    return platformdirs.user_data_path(NAME)


def map_folder(chosen: str = "") -> Path:
    """Where maps are saved and loaded: as chosen (`~` is expanded), or `maps` among the data."""
    return Path(os.path.expanduser(chosen)) if chosen else _writable(data_folder() / "maps")


def flight_folder(chosen: str = "") -> Path:
    """Where flights are kept: as chosen (`~` is expanded), or `flights` among the data."""
    return Path(os.path.expanduser(chosen)) if chosen else _writable(data_folder() / "flights")


def mesh_folder() -> Path:
    """Meshes that viewers on this machine read: `$ROS_HOME/endosfm3d`, or `~/.ros/endosfm3d`."""
    home = os.environ.get("ROS_HOME")
    return Path(home or os.path.expanduser("~/.ros")) / NAME


def log_folder() -> Path:
    """Where ROS logs: `$ROS_LOG_DIR`, or the folder `log` of `$ROS_HOME` or `~/.ros`."""
    if chosen := os.environ.get("ROS_LOG_DIR"):
        return Path(chosen)
    home = os.environ.get("ROS_HOME")
    return _writable(Path(home or os.path.expanduser("~/.ros")) / "log")


@lru_cache(maxsize=16)
def _writable(folder: Path) -> Path:
    """The folder, or one below the temporary directory where it cannot be written."""
    if folder.is_absolute() and _can_write(folder):
        return folder
    instead = _own_temporary() / folder.name
    log.warning("%s cannot be written: %s is used until the machine restarts", folder, instead)
    return instead


def _own_temporary() -> Path:
    """A folder of this account alone: others may write beside it, and could have made it before."""
    folder = Path(tempfile.gettempdir(), f"{NAME}-{os.getuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    return folder


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not os.access: root may do anything, also on a file system that is read-only.
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
