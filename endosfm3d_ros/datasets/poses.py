"""Pose tables in text: `frame tx ty tz qx qy qz qw`, camera-to-world, `#` for comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3

HEADER = "# frame tx ty tz qx qy qz qw ; "


def read_poses(path: Path) -> dict[int, np.ndarray]:
    """4x4 camera-to-world by frame number; blanks, commas and tabs separate the values.

    Raises:
        InputError: a line that is not eight finite numbers, named with its line number.
    """
    poses = {}
    for count, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            number, *values = (float(word) for word in words)
            translation, quaternion = np.array(values[:3]), np.array(values[3:])
            if len(values) != 7 or not np.isfinite(values).all() or not quaternion.any():
                raise ValueError
        except ValueError as error:
            raise InputError(
                f"{path} line {count} {line!r}: frame tx ty tz qx qy qz qw is accepted"
            ) from error
        poses[int(number)] = se3.from_quaternion(translation, quaternion)
    return poses


def write_poses(
    path: Path, poses: Mapping[int, np.ndarray], meaning: str = "camera-to-world, metres"
) -> None:
    """Write 4x4 matrices so that they read back to 1e-15 m and rad; the first line says what."""
    lines = []
    for number, T in poses.items():
        translation, quaternion = se3.to_quaternion(T)
        values = " ".join(f"{value:.17g}" for value in (*translation, *quaternion))
        lines.append(f"{number} {values}\n")
    path.write_text(f"{HEADER}{meaning}\n" + "".join(lines))
