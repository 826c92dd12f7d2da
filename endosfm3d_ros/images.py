"""Floor 1: image files and raw buffers, for those who read no messages; `inputs` does the work."""

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
    "decode_compressed",
    "decode_compressed_plane",
    "decode_depth",
    "decode_image",
    "decode_labels",
    "encode_compressed",
]
