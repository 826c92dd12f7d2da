"""Cameras of single frames in text: `frame fx fy cx cy`, pixels, `#` for comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from endosfm3d_ros.datasets.formats.tables import read_rows
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera

CAMERAS = "intrinsics_ref.txt"


def read_cameras(path: Path, width: int, height: int) -> dict[int, PinholeCamera]:
    """Cameras by frame number.

    Args:
        path: the table.
        width: pixels of the images.
        height: pixels of the images.

    Raises:
        InputError: a line that is not a number and four focal lengths and centres.
    """
    rows = read_rows(path, "frame fx fy cx cy")
    try:
        return {
            number: PinholeCamera(width, height, *map(float, row)) for number, row in rows.items()
        }
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_cameras(path: Path, cameras: Mapping[int, PinholeCamera]) -> None:
    """Write cameras so that they read back exactly."""
    lines = [
        f"{number} {camera.fx!r} {camera.fy!r} {camera.cx!r} {camera.cy!r}\n"
        for number, camera in cameras.items()
    ]
    path.write_text("# frame fx fy cx cy ; pixels\n" + "".join(lines))
