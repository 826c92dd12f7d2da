"""Rectified Hamlyn sequences (Recasens et al. 2021): image01, depth01, intrinsics.txt.

Depth is of a stereo matcher, in millimetres, and counts between 1 and 300 mm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.published.image_sequence import (
    ImageSequence,
    Layout,
    images_of,
    millimetres,
    size_of,
)
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.report import InputReport

INTRINSICS = "intrinsics.txt"
FPS = 25.0  # the layout does not say
NEAR, FAR = 1.0, 300.0  # mm


def sequence_folder(path: Path) -> Path | None:
    """The folder with image01: some archives hold rectified08/rectified08; None where none is."""
    for folder in (path, path / path.name):
        if (folder / "image01").is_dir() and (folder / INTRINSICS).is_file():
            return folder
    return None


class HamlynSequence(ImageSequence):
    """A sequence such as rectified08.

    Args:
        folder: of it, or the one around it of the same name.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no image, or intrinsics that cannot be read.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        report, inner = InputReport(), sequence_folder(folder) or folder
        left = images_of(inner / "image01")
        report.assumed("image01", "rate", f"{FPS:g} frames a second: the data set names no rate")
        if (inner / "image02").is_dir():
            said = "is left out: the layout does not say how the eyes stand to each other"
            report.refused("image02", "pair", said, severity=1)
        layout = Layout(
            name=shown(folder.resolve().name), fps=FPS, left=left,
            depth=images_of(inner / "depth01"), metres=millimetres(NEAR, FAR),
            camera=_camera(inner / INTRINSICS, size_of(left)),
        )  # fmt: skip
        super().__init__(layout, report, start)


def _camera(path: Path, size: tuple[int, int]) -> PinholeCamera:
    try:
        rows = [[float(word) for word in line.split()] for line in path.read_text().splitlines()]
        K = np.array([row[:3] for row in rows if row][:3])
        camera = PinholeCamera.from_matrix(K.reshape(3, 3), *size)
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: a 3x3 or 3x4 matrix is accepted: {error}") from error
    if not (0 < camera.cx < size[0] and 0 < camera.cy < size[1]):
        raise InputError(f"{path}: centre {camera.cx:.0f}, {camera.cy:.0f} outside {size} images")
    return camera
