"""Depth images in files: PNG of millimetres, and what compressed_depth_image_transport sends.

Its messages begin with a header. Behind it lie the values, as PNG or as RVL: millimetres of 16UC1;
of 32FC1 `a / depth + b`, finer near the camera.
"""

from __future__ import annotations

import struct

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import rvl
from endosfm3d_ros.inputs.compressed import (
    FileHead,
    check_head,
    decode_compressed_plane,
)
from endosfm3d_ros.inputs.encodings import metric_depth
from endosfm3d_ros.inputs.plausibility import DEPTH

HEADER = struct.Struct("<iff")  # kind, a, b
RVL_SIZE = struct.Struct("<II")  # width, height
LARGEST = 65535


def decode_compressed_depth(data: bytes | np.ndarray, format: str) -> np.ndarray:
    """(H, W) float32 metres of a depth image; NaN invalid.

    Args:
        data: the message's data.
        format: "16UC1; compressedDepth png", "32FC1; compressedDepth rvl" and the like.

    Raises:
        InputError: a file that is damaged or changes the values, or values that nearer depth would
            run over.
    """
    encoding, _, compression = format.partition(";")
    content = bytes(memoryview(data))
    if "compressedDepth" not in format:
        return metric_depth(decode_compressed_plane(content), 1e-3)
    if len(content) < HEADER.size:
        raise InputError(f"depth of format {format!r} has {len(content)} bytes: it is cut off")
    raw = _values(content[HEADER.size :], "rvl" in compression.lower())
    if encoding.strip() != "32FC1":
        return metric_depth(raw, 1e-3)
    _, a, b = HEADER.unpack_from(content)
    _require_near(a, b)
    with np.errstate(divide="ignore"):
        depth = np.where(raw > 0, np.float32(a) / (raw.astype(np.float32) - np.float32(b)), 0)
    return metric_depth(depth, 1.0)


def _values(packed: bytes, is_rvl: bool) -> np.ndarray:
    """(H, W) uint8 or uint16 behind the header."""
    if not is_rvl:
        return decode_compressed_plane(packed)
    if len(packed) < RVL_SIZE.size:
        raise InputError(f"RVL of {len(packed)} bytes is cut off")
    width, height = RVL_SIZE.unpack_from(packed)
    check_head(FileHead("rvl", width, height, 1, 16, 0, len(packed)))
    return rvl.unpack(packed[RVL_SIZE.size :], width, height)


def _require_near(a: float, b: float) -> None:
    """Refuse a quantisation that nearer depth runs over: its values wrap around, and look farther.

    With the sender's usual 100 everything within 154 mm does so.
    """
    nearest = a / (LARGEST - b) * 1e3 if b < LARGEST else float("nan")
    if not 0 < nearest <= DEPTH.low:
        raise InputError(
            f"compressed depth of 32FC1 with a = {a:g} and b = {b:g} holds depth down to "
            f"{nearest:.1f} mm, and nearer values wrap around: {DEPTH.low:g} mm at most is "
            "accepted; set the sender's compressedDepth/depth_quantization to 7, or send 16UC1"
        )
