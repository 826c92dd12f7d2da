"""Pose tables in text: `frame tx ty tz qx qy qz qw`, camera-to-world, `#` for comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.tables import read_rows
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3

HEADER = "# frame tx ty tz qx qy qz qw ; "
LEAST = 1e-6  # length of a quaternion that still has a direction
COLUMNS = "frame tx ty tz qx qy qz qw"


def read_poses(path: Path) -> dict[int, np.ndarray]:
    """4x4 camera-to-world by frame number; blanks, commas and tabs separate the values.

    Raises:
        InputError: a line that is not a whole number and seven finite ones, or a number that comes
            twice; named with its line number.
    """
    poses = {}
    for number, values in read_rows(path, COLUMNS).items():
        if not LEAST <= np.linalg.norm(values[3:]) < np.inf:
            raise InputError(f"{path} frame {number}: a quaternion of zeros is no rotation")
        poses[number] = se3.from_quaternion(values[:3], values[3:])
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
