"""Pictures for people, as PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.files.atomic import write_bytes


def write_picture(path: Path, image: np.ndarray) -> None:
    """Replace a file by an RGB (H, W, 3) uint8 image.

    Raises:
        ConfigurationError: the place cannot be written.
    """
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_bytes(path, data.tobytes())
