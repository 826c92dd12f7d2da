"""Shared memory that killed nodes left: Fast DDS gives it back only when a process ends well.

Every segment and every port has a file that its owner keeps locked; the kernel lets go of the lock
when the owner ends. What can be locked, belongs to this user and is mapped by nobody is dead.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import ExitStack, suppress
from pathlib import Path

FOLDER = Path("/dev/shm")
BASE = r"(?P<base>fast(?:rtps|dds)_(?:port\d+|[0-9a-f]{16}))"
NAME = re.compile(rf"^(?:sem\.)?{BASE}(?:_el|_sl|_mutex)?$")
LOCKS = ("_el", "_sl")
YOUNG = 5.0  # s; a file may have been made and not locked yet


def sweep_shared_memory(folder: Path = FOLDER) -> list[Path]:
    """Remove the files of dead processes of this user; returns what went."""
    groups: dict[str, list[Path]] = {}
    with suppress(OSError):
        for path in folder.iterdir():
            if match := NAME.match(path.name):
                groups.setdefault(match["base"], []).append(path)
    if not groups:
        return []
    mapped = mapped_files(folder)
    gone: list[Path] = []
    for base, files in groups.items():
        if str(folder / base) not in mapped:
            with suppress(OSError):  # it lives, or is somebody else's
                gone += _removed(base, files)
    return gone


def mapped_files(folder: Path, processes: Path = Path("/proc")) -> set[str]:
    """Names of all files of the folder that a process has in its memory, as far as can be seen."""
    found: set[str] = set()
    for maps in processes.glob("[0-9]*/maps"):
        with suppress(OSError):
            lines = maps.read_text(errors="replace").splitlines()
            names = (line.split(maxsplit=5)[-1] for line in lines if str(folder) in line)
            found.update(name for name in names if name.startswith(str(folder)))
    return found


def _removed(base: str, files: list[Path]) -> list[Path]:
    """The files of one segment or port, all removed while its locks are held.

    Raises:
        OSError: it is locked, young, not of this user, or has no lock.
    """
    locks = [path for path in files if path.name.endswith(LOCKS)]
    if not locks:
        raise OSError(f"{base} has no lock: whose it is cannot be known")
    for path in files:
        facts = path.lstat()
        if facts.st_uid != os.getuid() or time.time() - facts.st_mtime < YOUNG:
            raise OSError(f"{base} is not ours or has just been made")
    with ExitStack() as stack:
        for path in locks:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in files:
            path.unlink(missing_ok=True)
    return files
