"""Checksums for MCAP files whose writer leaves them out, so that damage can be seen later."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from endosfm3d_ros.datasets.bags.mcap_file import (
    CHUNK,
    CHUNK_HEAD,
    DATA_END,
    FOOTER,
    MAGIC,
    RECORD,
    unpacked,
)

CRC_AT = 24  # of the checksum in the content of a chunk


def seal(path: Path) -> int:
    """Fill in the checksum of every chunk that has none.

    Args:
        path: a complete file.

    Returns:
        How many chunks were sealed.
    """
    sealed, at = 0, len(MAGIC)
    with path.open("r+b") as file:
        while True:
            file.seek(at)
            opcode, length = RECORD.unpack(file.read(RECORD.size))
            if opcode in (DATA_END, FOOTER):
                return sealed
            if opcode == CHUNK:
                sealed += _seal_chunk(file, at + RECORD.size)
            at += RECORD.size + length


def _seal_chunk(file: BinaryIO, start: int) -> bool:
    """One chunk whose content begins at `start`; the checksum is of what is packed in it."""
    _, _, size, crc, name_length = CHUNK_HEAD.unpack(file.read(CHUNK_HEAD.size))
    if crc:
        return False
    codec = file.read(name_length)
    stored = struct.unpack("<Q", file.read(8))[0]
    crc = zlib.crc32(unpacked(codec, file.read(stored), size))
    file.seek(start + CRC_AT)
    file.write(struct.pack("<I", crc))
    return True
