"""What a killed process left half-written is removed by the next start, and nothing else is.

Every process notes the temporary files and folders that it makes, one note each, in a folder of
notes that it keeps locked. The kernel lets go of the lock when the process ends, however it ends:
notes that can be locked are of a dead process. A process id would not do: ids come again, and
containers have their own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from endosfm3d_ros.files.locations import cache_folder

log = logging.getLogger(__name__)

LOCK = "lock"
REPLACED = "replaced"  # in a scratch folder: what the new folder takes the place of
NAME = re.compile(r"\.endosfm3d-[0-9a-f]{16}(\.[^.]*)?$")  # of everything that is removed


def scratch_path(target: Path) -> Path:
    """A hidden name beside `target` that is removed after a crash once it is noted.

    The suffix stays, because libraries choose formats by it.
    """
    stem = target.name.removesuffix(target.suffix)[:80]
    return target.with_name(f".{stem}.endosfm3d-{secrets.token_hex(8)}{target.suffix[:40]}")


def lasting_path(path: Path) -> Path:
    """A name for a file that lives as long as the process, marked as `scratch_path` marks it."""
    return path.with_name(f"{path.stem}.endosfm3d-{secrets.token_hex(8)}{path.suffix}")


class Notes:
    """The notes of this process; a failure to write one never stops the work itself."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._folder: Path | None = None
        self._owner = 0  # process that made the folder: a fork has its own
        self._held: int | None = None  # locked file

    def add(self, scratch: Path, target: Path) -> Path | None:
        """Note a path that is about to be made, and what it is to become.

        Returns:
            the note, or None where none can be kept.
        """
        try:
            with self._mutex:
                note = self._own_folder() / secrets.token_hex(8)
            note.write_bytes(b"\0".join(os.fsencode(os.path.abspath(p)) for p in (scratch, target)))
        except OSError as error:
            log.debug("%s is not noted: %s", scratch, error)
            return None
        return note

    def _own_folder(self) -> Path:
        if self._folder is None or self._owner != os.getpid() or not self._folder.is_dir():
            self._owner = os.getpid()
            self._folder = notes_folder() / f"{self._owner}-{secrets.token_hex(4)}"
            self._folder.mkdir(parents=True)
            self._held = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX)
        return self._folder


NOTES = Notes()


def notes_folder() -> Path:
    """Where processes keep their notes."""
    return cache_folder() / "running"


def forget(note: Path | None) -> None:
    """The path of a note has become what it should, or is gone."""
    if note is not None:
        with suppress(OSError):
            note.unlink()


def sweep() -> list[Path]:
    """Remove what dead processes of this user noted and did not finish; returns what went."""
    gone: list[Path] = []
    try:
        folders = [folder for folder in notes_folder().iterdir() if folder.is_dir()]
    except OSError:
        return gone
    for folder in folders:
        with suppress(OSError):
            gone += _swept(folder)
    return gone


def _swept(folder: Path) -> list[Path]:
    """The leftovers of one process; none while it lives."""
    held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the process lives
        notes = [note.read_bytes() for note in folder.iterdir() if note.name != LOCK]
        noted = [[Path(os.fsdecode(path)) for path in note.split(b"\0")] for note in notes]
        gone = [pair[0] for pair in noted if len(pair) == 2 and _removed(*pair)]
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)
    return gone


def _removed(scratch: Path, target: Path) -> bool:
    """Whether a leftover was there. Names that this package does not give are left alone."""
    if NAME.search(scratch.name) is None or not os.path.lexists(scratch):
        return False
    if scratch.is_dir() and not scratch.is_symlink():
        # killed after the old folder was moved away and before the new one came
        if (scratch / REPLACED).exists() and not target.exists():
            (scratch / REPLACED).rename(target)
        shutil.rmtree(scratch, ignore_errors=True)
    else:
        scratch.unlink()
    return True
