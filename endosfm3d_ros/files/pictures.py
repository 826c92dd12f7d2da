"""Pictures for people, as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from endosfm3d_ros.files.atomic import write_bytes
from endosfm3d_ros.inputs.compressed import encode_compressed


def write_picture(path: Path, image: np.ndarray) -> None:
    """Replace a file by an RGB (H, W, 3) uint8 image.

    Raises:
        ConfigurationError: the place cannot be written.
    """
    write_bytes(path, encode_compressed(np.ascontiguousarray(image), "png"))
