"""zstd and lz4 of unknown origin: how much comes out is bounded before it takes memory or disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import zstandard  # zstandard and lz4 come with rosbags
from lz4 import frame as lz4

from endosfm3d_ros.errors import InputError

BLOCK_LIMIT = 1 << 30  # bytes of one unpacked message or chunk; a picture of 8K has 100 MB
RATIO = 200  # unpacked by packed size of a whole file; recordings of uniform pictures reach 50
SMALL = 64 << 20  # bytes below which no ratio counts
SPARE = 1 << 30  # bytes that stay free on the disk
PIECE = 1 << 20


def unpacked_block(codec: str, content: bytes, size: int = BLOCK_LIMIT) -> bytes:
    """A message or chunk.

    Args:
        codec: zstd or lz4.
        content: packed.
        size: bytes that may come out, as far as is known before.

    Raises:
        InputError: damaged, or more than that, or more than `BLOCK_LIMIT`.
    """
    if size > BLOCK_LIMIT:
        raise InputError(f"{size} bytes in one piece: {BLOCK_LIMIT} are accepted")
    try:
        if codec == "lz4":
            plain = lz4.LZ4FrameDecompressor().decompress(content, max_length=size + 1)
        else:
            # the library takes what the frame states, whatever it is told to be the most
            stated = zstandard.frame_content_size(content)
            if stated > size:
                raise InputError(f"a piece states {stated} bytes: {size} are accepted")
            plain = zstandard.ZstdDecompressor().decompress(content, max_output_size=size)
    except (zstandard.ZstdError, RuntimeError, MemoryError, OverflowError, ValueError) as error:
        raise InputError(f"a piece that cannot be unpacked: {error}") from error
    if len(plain) > size:
        raise InputError(f"a piece unpacks to more than the {size} bytes that it states")
    return plain


def unpack_file(packed: Path, target: Path) -> str:
    """A whole file, as far as it goes; returns what is wrong with it, "" where nothing is."""
    most = max(SMALL, RATIO * packed.stat().st_size)
    most = min(most, shutil.disk_usage(target.parent).free - SPARE)
    written = 0
    with packed.open("rb") as source, target.open("wb") as plain:
        try:
            reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
            while piece := reader.read(PIECE):
                written += len(piece)
                if written > most:
                    return f"{packed.name} unpacks to more than {most >> 20} MiB: the rest is left"
                plain.write(piece)
        except zstandard.ZstdError as error:
            return f"{packed.name} is cut off or damaged: {error}"
    return ""
