"""Cameras of single frames in text: `frame fx fy cx cy`, pixels, `#` for comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
    cameras = {}
    for count, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            number, (fx, fy, cx, cy) = int(words[0]), (float(word) for word in words[1:])
        except ValueError as error:
            raise InputError(f"{path} line {count} {line!r}: frame fx fy cx cy") from error
        cameras[number] = PinholeCamera(width, height, fx, fy, cx, cy)
    return cameras


def write_cameras(path: Path, cameras: Mapping[int, PinholeCamera]) -> None:
    """Write cameras so that they read back exactly."""
    lines = [
        f"{number} {camera.fx!r} {camera.fy!r} {camera.cx!r} {camera.cy!r}\n"
        for number, camera in cameras.items()
    ]
    path.write_text("# frame fx fy cx cy ; pixels\n" + "".join(lines))
