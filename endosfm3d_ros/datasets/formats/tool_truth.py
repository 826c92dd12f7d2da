"""True instruments of a clip: meshes, poses and clearances in the folder `tools/`.

`N.ply` is the surface of instrument N in its own frame, metres. `N_poses.txt` holds its pose in
the left camera for each frame, and `clearance.txt` its smallest distance to the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.poses import read_poses, write_poses
from endosfm3d_ros.datasets.formats.tables import lines_of
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.ply import read_ply, write_ply

FOLDER, CLEARANCES = "tools", "clearance.txt"
POSES = "_poses.txt"


@dataclass(frozen=True)
class ToolMesh:
    """The surface of one instrument in its own frame."""

    vertices: np.ndarray  # (V, 3) float32 metres
    faces: np.ndarray  # (F, 3) int, outward


@dataclass(frozen=True)
class ToolPosture:
    """How the joints of one instrument stand; in the instrument's frame unless it is said."""

    tip: np.ndarray  # (3,) metres, middle of the ends of its jaws
    axis: np.ndarray  # (3,) unit, from the wrist to between the jaws
    opening: float  # radians between the jaws; NaN where it has no two
    bends: bool  # whether it has a wrist

    def seen(self, T: np.ndarray) -> ToolPosture:
        """In the frame that a (4, 4) pose leads to."""
        return replace(self, tip=T[:3, :3] @ self.tip + T[:3, 3], axis=T[:3, :3] @ self.axis)


@dataclass(frozen=True)
class ToolTruth:
    """Everything that is true of the instruments of a clip, by frame number and instrument."""

    meshes: dict[int, ToolMesh]
    poses: dict[int, dict[int, np.ndarray]]  # 4x4 tool in the left camera, metres
    clearances: dict[int, dict[int, float]]  # metres


NOTHING = ToolTruth({}, {}, {})


def write_tools(folder: Path, truth: ToolTruth) -> None:
    """Write `tools/` into a clip folder; nothing where there are no instruments."""
    if not truth.meshes:
        return
    target = folder / FOLDER
    target.mkdir()
    for tool, mesh in truth.meshes.items():
        _write_mesh(target / f"{tool}.ply", mesh)
        poses = {number: tools[tool] for number, tools in truth.poses.items()}
        write_poses(target / f"{tool}{POSES}", poses, "tool in left camera, metres")
    lines = [
        f"{number} {tool} {distance:.9g}\n"
        for number, tools in truth.clearances.items()
        for tool, distance in tools.items()
    ]
    (target / CLEARANCES).write_text("# frame tool metres\n" + "".join(lines))


def read_tools(folder: Path) -> ToolTruth:
    """What `write_tools` wrote; empty where there is none.

    Raises:
        InputError: a damaged file.
    """
    source = folder / FOLDER
    if not source.is_dir():
        return NOTHING
    numbers = sorted(int(path.stem) for path in source.glob("*.ply") if path.stem.isdecimal())
    poses: dict[int, dict[int, np.ndarray]] = {}
    for tool in numbers:
        for number, pose in read_poses(source / f"{tool}{POSES}").items():
            poses.setdefault(number, {})[tool] = pose
    meshes = {tool: _read_mesh(source / f"{tool}.ply") for tool in numbers}
    return ToolTruth(meshes, poses, _read_clearances(source / CLEARANCES))


def _write_mesh(path: Path, mesh: ToolMesh) -> None:
    vertices = np.zeros(len(mesh.vertices), [(axis, "f4") for axis in "xyz"])
    for i, axis in enumerate("xyz"):
        vertices[axis] = mesh.vertices[:, i]
    faces = np.zeros(len(mesh.faces), [("vertex_indices", "i4", (3,))])
    faces["vertex_indices"] = mesh.faces
    write_ply(path, {"vertex": vertices, "face": faces}, ["metres"])


def _read_mesh(path: Path) -> ToolMesh:
    try:
        content = read_ply(path)
        vertices = np.stack([content["vertex"][axis] for axis in "xyz"], -1)
        return ToolMesh(vertices, content["face"]["vertex_indices"])
    except (InputError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no mesh that can be read: {error}") from error


def _read_clearances(path: Path) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = {}
    if not path.is_file():
        return found
    for at, line, words in lines_of(path):
        try:
            number, tool, distance = int(words[0]), int(words[1]), float(words[2])
        except (ValueError, IndexError) as error:
            raise InputError(f"{path} line {at} {line!r}: frame tool metres") from error
        found.setdefault(number, {})[tool] = distance
    return found
