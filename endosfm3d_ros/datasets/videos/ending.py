"""Does a video file end where its container says? Recorders that were stopped leave less."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

ISO_SUFFIXES = (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v")
RIFF_SUFFIXES = (".avi", ".divx")
BOXES = 10_000  # looked at, at most; a recording has a handful


def is_cut(path: Path) -> bool:
    """Whether the last part of a MP4 or AVI file is missing; False for other containers."""
    return _reaches(path)[0]


def lacks_index(path: Path) -> bool:
    """Whether a MP4 file has no index of its frames, without which none can be found."""
    suffix = path.suffix.lower() in ISO_SUFFIXES
    return suffix and "ftyp" in (names := _reaches(path)[1]) and "moov" not in names


def _reaches(path: Path) -> tuple[bool, set[str]]:
    """(whether the parts run over the end of the file, names of those that are whole)."""
    suffix, names = path.suffix.lower(), set()
    if suffix not in ISO_SUFFIXES + RIFF_SUFFIXES:
        return False, names
    end, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= end and len(names) < BOXES:
            length, name = (_box if suffix in ISO_SUFFIXES else _chunk)(file, at, end)
            if length < 8 or not name.isascii():
                return False, names  # something else, which the decoder will judge
            at += length
            if at <= end:
                names.add(name)
    return at > end, names


def _box(file: BinaryIO, at: int, end: int) -> tuple[int, str]:
    """Length and name of a box of ISO/IEC 14496-12."""
    file.seek(at)
    length, name = struct.unpack(">I4s", file.read(8))
    if length == 1:
        large = file.read(8)
        length = struct.unpack(">Q", large)[0] if len(large) == 8 else end - at + 1
    return (length or end - at), name.decode("latin1")


def _chunk(file: BinaryIO, at: int, end: int) -> tuple[int, str]:
    """Length and name of a chunk of RIFF; OpenDML files have several, one behind the other."""
    file.seek(at)
    name, length = struct.unpack("<4sI", file.read(8))
    unknown = length in (0, 0xFFFFFFFF)  # never closed
    return (end - at + 1 if unknown else length + length % 2 + 8), name.decode("latin1")
