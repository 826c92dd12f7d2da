"""Files that are there as a whole or not at all."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)


def write_whole(path: Path, content: bytes) -> bool:
    """Write beside `path`, flush to disk, rename; False, and a warning, where that fails.

    A process that is killed on the way leaves a file that starts with a dot; the next writer of
    the same path removes it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in path.parent.glob(f".{path.name}.*"):
            left_over.unlink()
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        log.warning("%s is not kept, the next start builds it again: %s", path.name, error)
        with suppress(OSError):
            temporary.unlink()
        return False
    return True


def read_bytes_or_nothing(path: Path) -> bytes:
    """The content of a file; empty where it is absent or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
