"""Files that are there as a whole or not at all."""

from __future__ import annotations

import logging
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import write_bytes

log = logging.getLogger(__name__)


def write_whole(path: Path, content: bytes) -> bool:
    """Write beside `path`, flush to disk, rename; False, and a warning, where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except (OSError, ConfigurationError) as error:
        log.warning("%s is not kept, the next start builds it again: %s", path.name, error)
        return False
    return True


def read_bytes_or_nothing(path: Path) -> bytes:
    """The content of a file; empty where it is absent or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
