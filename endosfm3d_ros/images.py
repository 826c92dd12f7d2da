"""Image files and raw buffers, for those who read no messages; `inputs` does the work."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.compressed import (
    decode_compressed,
    decode_compressed_plane,
    encode_compressed,
)
from endosfm3d_ros.inputs.encodings import (
    COLOR_ENCODINGS,
    decode_depth,
    decode_image,
    decode_labels,
)

__all__ = [
    "COLOR_ENCODINGS",
    "check_picture",
    "decode_compressed",
    "decode_compressed_plane",
    "decode_depth",
    "decode_image",
    "decode_labels",
    "encode_compressed",
]

LEAST_SIDE = 32  # px; nothing can be followed, matched or mapped in less


def check_picture(image: np.ndarray) -> None:
    """Refuse what no stage can work on.

    Raises:
        InputError: not (H, W, 3) uint8, or a side of less than `LEAST_SIDE`.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image {image.dtype}{list(image.shape)}: uint8 (H, W, 3) is accepted")
    height, width = image.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"image of {width}x{height} pixels: {LEAST_SIDE} a side are the least")
