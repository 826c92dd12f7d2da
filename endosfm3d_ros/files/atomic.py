"""Files and folders that appear whole or not at all: everything that the package writes.

    with replacing(path) as scratch:
        write_somehow(scratch)

What is written lies in the same folder under a hidden name until it is complete and on disk. An
old file stays as it is when the disk is full, the writer fails or the process is killed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files import leftovers


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file name beside `path` to write; it becomes `path` when the block ends well.

    A link is followed, so that the file it names is replaced and not the link.

    Raises:
        ConfigurationError: the place cannot be written, or `path` is a pipe, device or folder.
    """
    try:
        path = Path(os.path.realpath(path))
        _require_file(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be written: {reason_of(error)}") from error
    scratch = leftovers.scratch_path(path)
    note = leftovers.NOTES.add(scratch, path)
    try:
        yield scratch
        flush_to_disk(scratch)
        scratch.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {reason_of(error)}") from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        leftovers.forget(note)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by `content`. Raises as `replacing`."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replace a file by `text` in UTF-8. Raises as `replacing`."""
    write_bytes(path, text.encode())


@contextmanager
def atomic_folder(target: Path, marker: str, force: bool = False) -> Iterator[Path]:
    """Yield a path beside `target` to fill; it becomes `target` when the block ends well.

    The yielded folder has the name of the target but does not exist yet. After an error, an
    interrupt included, nothing is left and an old target is untouched.

    Args:
        target: folder to make.
        marker: file name pattern that an old target must hold to be replaced, so that a slip
            of the keyboard cannot delete a home directory.
        force: replace an old target.

    Raises:
        ConfigurationError: the target exists, or its parent cannot be written.
    """
    target = Path(os.path.abspath(target))
    _require_replaceable(target, marker, force)
    scratch = leftovers.scratch_path(target)
    note = leftovers.NOTES.add(scratch, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(mode=0o700)
    except OSError as error:
        leftovers.forget(note)
        raise ConfigurationError(
            f"{target.parent} cannot be written: {reason_of(error)}"
        ) from error
    try:
        yield scratch / target.name
        if target.exists():
            target.rename(scratch / leftovers.REPLACED)
        (scratch / target.name).rename(target)
        flush_to_disk(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        leftovers.forget(note)


def require_target(target: Path, marker: str, force: bool = False) -> None:
    """Say before hours of work what `atomic_folder` would say after them. Raises as it does."""
    target = Path(os.path.abspath(target))
    _require_replaceable(target, marker, force)
    parent = next(folder for folder in target.parents if folder.exists())
    if not parent.is_dir():
        raise ConfigurationError(f"{target} cannot be written: {parent} is no folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{target} cannot be written: no permission in {parent}")


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reason_of(error: Exception) -> str:
    """What an OSError says without numbers and names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _require_file(path: Path) -> None:
    """Opening a pipe waits for a reader, and a device is no place for a file."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is a folder, pipe or device, a file is accepted")


def _require_replaceable(target: Path, marker: str, force: bool) -> None:
    if not target.exists():
        return
    if not force:
        raise ConfigurationError(f"{target} exists: choose another name or add --force")
    if not target.is_dir() or not any(target.glob(marker)):
        raise ConfigurationError(f"{target} exists and holds no {marker}: it is not replaced")
