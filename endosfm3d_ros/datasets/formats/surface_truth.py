"""The true surface of a clip that the camera has seen so far, as `surface/NNNNNN.ply`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.ply import read_ply, write_ply

FOLDER = "surface"
FIELDS = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "u1")]


@dataclass(frozen=True)
class Surface:
    """Points on tissue and instruments that this image or an earlier one shows.

    What hides again stays in; it is where it is now, not where it was seen.
    """

    points: np.ndarray  # (N, 3) float32 metres, left camera of the frame
    labels: np.ndarray  # (N,) uint8: 0 tissue, 1.. instrument


def write_surface(folder: Path, number: int, surface: Surface) -> None:
    """Write one frame's surface into a clip folder."""
    vertices = np.zeros(len(surface.points), FIELDS)
    for i, axis in enumerate("xyz"):
        vertices[axis] = surface.points[:, i]
    vertices["label"] = surface.labels
    (folder / FOLDER).mkdir(exist_ok=True)
    write_ply(_path(folder, number), {"vertex": vertices}, ["metres"])


def read_surface(folder: Path, number: int) -> Surface | None:
    """What `write_surface` wrote; None where there is none.

    Raises:
        InputError: a damaged file.
    """
    path = _path(folder, number)
    if not path.is_file():
        return None
    try:
        vertices = read_ply(path)["vertex"]
        points = np.stack([vertices[axis] for axis in "xyz"], axis=1)
        return Surface(points, np.asarray(vertices["label"]))
    except (InputError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no surface that can be read: {error}") from error


def _path(folder: Path, number: int) -> Path:
    return folder / FOLDER / f"{number:06d}.ply"
