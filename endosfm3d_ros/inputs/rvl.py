"""RVL, the lossless packing of depth images that compressedDepth offers beside PNG.

Values are runs of zeros and runs of others, of which the steps from one to the next are stored.
Numbers are written in nibbles: three bits, lowest first, and one that says whether more follow;
eight nibbles fill a 32-bit word, highest first (Wilson, Fast Lossless Depth Image Compression,
2017).
"""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.errors import InputError

LONGEST = 11  # nibbles of a number: 33 bits


def unpack(data: bytes, width: int, height: int) -> np.ndarray:
    """(H, W) uint16 of packed data.

    Args:
        data: the words, without a header.
        width: of the picture in px.
        height: of the picture in px.

    Raises:
        InputError: data that end before the picture does, or run over it.
    """
    count = width * height
    numbers, at = _numbers(data), 0
    runs, filled = [], 0
    while filled < count:
        if at + 1 >= len(numbers):
            raise InputError(f"RVL of {width}x{height} px ends at pixel {filled}: cut off")
        zeros, others = int(numbers[at]), int(numbers[at + 1])
        at += 2
        if zeros + others == 0 or filled + zeros + others > count or at + others > len(numbers):
            raise InputError(f"RVL of {width}x{height} px is damaged at pixel {filled}")
        runs.append((filled + zeros, others, at))
        filled += zeros + others
        at += others
    return _with_steps(numbers, runs, count).reshape(height, width)


def _numbers(data: bytes) -> np.ndarray:
    """(N,) int64 that the nibbles spell."""
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    nibbles = ((words[:, None] >> np.arange(28, -1, -4, dtype=np.uint32)) & 15).ravel()
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.empty(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > LONGEST:
        raise InputError(f"RVL with a number of {lengths.max()} nibbles: damaged")
    places = np.arange(ends[-1] + 1) - np.repeat(starts, lengths)
    digits = (nibbles[: ends[-1] + 1].astype(np.int64) & 7) << (3 * places)
    return np.add.reduceat(digits, starts)


def _with_steps(numbers: np.ndarray, runs: list[tuple[int, int, int]], count: int) -> np.ndarray:
    """(count,) uint16: zeros, and sums of the steps that belong to each run."""
    pixels = np.concatenate([np.arange(first, first + length) for first, length, _ in runs])
    zigzag = np.concatenate([numbers[at : at + length] for _, length, at in runs])
    values = np.cumsum((zigzag >> 1) ^ -(zigzag & 1))
    if len(values) and not 0 <= values.min() <= values.max() <= 65535:
        raise InputError("RVL with values beyond 16 bits: damaged")
    picture = np.zeros(count, np.uint16)
    picture[pixels] = values
    return picture
