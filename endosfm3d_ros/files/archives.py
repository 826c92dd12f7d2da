"""NumPy archives (`.npz`) of unknown origin: every size is checked before a byte is unpacked."""

from __future__ import annotations

import os
import stat
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from endosfm3d_ros.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
ENCRYPTED = 0x1  # bit of a member's flags
MAX_HEADER = 10_000  # bytes of one array's header


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may ask for. A map of a million Gaussians unpacks to 110 MB."""

    unpacked: int = 512 << 20  # bytes of all arrays together
    ratio: float = 50.0  # unpacked by packed; arrays of numbers reach about 10
    members: int = 200


def read_archive(path: Path, limits: ArchiveLimits | None = None) -> dict[str, np.ndarray]:
    """Every array of an archive by name. Pickled objects are never read.

    Raises:
        InputError: no regular file, no such archive, encrypted or packed by a method that NumPy
            does not use, damaged, or larger than the limits. The sentence does not name the file.
    """
    try:
        with regular_file(path) as file, zipfile.ZipFile(file) as archive:
            _check(archive, limits or ArchiveLimits())
            return {_name(member): _array(archive, member) for member in archive.infolist()}
    except InputError:
        raise
    except Exception as error:  # readers of zip and npy raise anything for arbitrary bytes
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"no readable archive ({reason})") from error


@contextmanager
def regular_file(path: Path) -> Iterator[IO[bytes]]:
    """A file open for reading; a pipe or a device, which may never answer, is refused.

    Raises:
        InputError: it is no regular file.
        OSError: it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InputError("it is a folder, pipe or device, a file is accepted")
        yield file


def _check(archive: zipfile.ZipFile, limits: ArchiveLimits) -> None:
    members = archive.infolist()
    if len(members) > limits.members:
        raise InputError(f"{len(members)} arrays, {limits.members} are accepted")
    if len({member.filename for member in members}) < len(members):
        raise InputError("two arrays have the same name")
    for member in members:
        if member.flag_bits & ENCRYPTED:
            raise InputError(f"'{member.filename}' is encrypted, only open archives are accepted")
        if member.compress_type not in METHODS:
            accepted = " and ".join(METHODS.values())
            raise InputError(
                f"'{member.filename}' is packed by method {member.compress_type}, {accepted} are "
                "accepted"
            )
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if unpacked > limits.unpacked or unpacked > limits.ratio * packed:
        raise InputError(
            f"{packed >> 20} MiB would unpack to {unpacked >> 20}, accepted are "
            f"{limits.unpacked >> 20} MiB and {limits.ratio:g} times the packed size"
        )


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array; memory is asked for only if the member has the bytes that its header states."""
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream, max_header_size=MAX_HEADER)
        stated = dtype.itemsize * int(np.prod(shape, dtype=object)) if shape else dtype.itemsize
        if dtype.hasobject:
            raise InputError(f"'{member.filename}' holds Python objects, numbers are accepted")
        if stated > member.file_size:
            raise InputError(f"'{member.filename}' states {stated} bytes and has fewer")
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False, max_header_size=MAX_HEADER)
