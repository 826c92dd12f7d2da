"""Tool models from files: STL, OBJ, PLY or DAE (Collada), in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.tools.opjpo.joint import JointAligner
from endosfm3d_ros.tools.shapes.mesh import decimated, part_of_vertices
from endosfm3d_ros.tools.types import ToolModel, ToolObservation

SUFFIXES = (".stl", ".obj", ".ply", ".dae")
EXTENTS = (0.001, 2.0)  # m; a diagonal beyond is a file in another unit
MAX_FACES = 20_000  # kept of larger meshes
MAX_BYTES = 200 << 20  # of a file
MAX_TRIANGLES = 2_500_000  # of a file; so many take about ten seconds
MAX_PARTS = 1000  # unconnected; a soup of triangles is no surface and cannot be reduced
GREY = 150


class MeshSource:
    """The mesh of a file for every tool, or of a folder the one that covers a tool best.

    Raises:
        ConfigurationError: no such file, an unknown kind of file, or one that is too large.
        InputError: nothing in it can be used as a model in metres.
    """

    name = "mesh"
    slow = False

    def __init__(self, path: Path) -> None:
        self._models = [read_model(file) for file in mesh_files(path)]

    def model(self, observation: ToolObservation) -> ToolModel:
        """The only mesh, or the one whose silhouette overlaps most with the mask."""
        if len(self._models) == 1:
            return self._models[0]
        fits = [JointAligner(model).place(observation).iou for model in self._models]
        return self._models[int(np.argmax(fits))]


def mesh_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder in the order of their names.

    Raises:
        ConfigurationError: a folder without such files.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ConfigurationError(
            f"tool meshes {path} is a folder without {', '.join(SUFFIXES)} files"
        )
    return files


def read_model(path: Path) -> ToolModel:
    """The triangles of a file as one model."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigurationError(f"tool mesh {path}: accepted are {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ConfigurationError(f"tool mesh {path} does not exist")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigurationError(
            f"tool mesh {path} has {path.stat().st_size >> 20} MiB, {MAX_BYTES >> 20} are accepted"
        )
    vertices, faces, colors = read_triangles(path)
    parts = part_of_vertices(len(vertices), faces)[0]
    if parts > MAX_PARTS:
        raise InputError(
            f"tool mesh {path} falls into {parts} unconnected parts, {MAX_PARTS} are accepted: "
            "join its triangles"
        )
    extent = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    if not EXTENTS[0] <= extent <= EXTENTS[1]:
        raise InputError(
            f"tool mesh {path} has a diagonal of {extent:g} m, {EXTENTS[0]:g} to {EXTENTS[1]:g} "
            "are accepted: is it in metres?"
        )
    few, faces = decimated(vertices, faces, MAX_FACES)
    if len(few) != len(vertices):
        colors = colors[cKDTree(vertices).query(few)[1]]
    return ToolModel(few, faces, colors, MeshSource.name, True)


def model_of(vertices: np.ndarray, faces: np.ndarray) -> ToolModel:
    """A grey model in metres of (V, 3) vertices and (F, 3) faces; equal vertices are merged."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh.merge_vertices()
    colors = np.full(mesh.vertices.shape, GREY, np.uint8)
    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)
    return ToolModel(vertices, faces, colors, MeshSource.name, True)


def read_triangles(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, 3) float32 vertices, (F, 3) int32 faces, (V, 3) uint8 colours; equal vertices merged."""
    import trimesh

    try:
        mesh = trimesh.load(path, force="mesh", process=False)
    except Exception as error:  # its readers raise anything for arbitrary bytes
        raise InputError(f"tool mesh {path} cannot be read ({_reason(error)})") from error
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise InputError(f"tool mesh {path} has no triangles")
    if len(mesh.faces) > MAX_TRIANGLES:
        raise InputError(
            f"tool mesh {path} has {len(mesh.faces)} triangles, {MAX_TRIANGLES} are accepted: "
            f"reduce it, {MAX_FACES} are kept anyway"
        )
    if not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
        raise InputError(
            f"tool mesh {path} names a vertex {mesh.faces.max()}, it has {len(mesh.vertices)}"
        )
    if not np.isfinite(mesh.vertices).all():
        raise InputError(f"tool mesh {path} has vertices that are not finite numbers")
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    mesh.update_faces(mesh.nondegenerate_faces(height=0.0))
    if not len(mesh.faces):
        raise InputError(f"tool mesh {path} has only triangles without area")
    colors = np.full(mesh.vertices.shape, GREY, np.uint8)
    if mesh.visual.kind in ("vertex", "face"):
        colors = np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.uint8)
    return mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), colors


def _reason(error: Exception) -> str:
    """A package that is missing is not the reason: the file is of a kind that nobody needs."""
    if isinstance(error, ImportError):
        return "it uses a part of its format that is not supported: save it as binary STL"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
