"""The whole state of a map in one file: a NumPy archive with a version and a checksum.

Everything that the next frame needs is kept bit by bit; only the past frames that the map could
be rewound to are not. A file comes from anywhere: what it holds is checked before it is used.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.archives import read_archive
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.map import TissueMap
from endosfm3d_ros.tissue.store.gaussians import FIELDS

VERSION = 2
GAUSSIANS = "gaussian_"
GRAPH = "graph_"
MAP = "map_"
# Shapes of what is not a Gaussian; the same letter is the same number.
SHAPES: dict[str, tuple[int | str, ...]] = {
    "graph_spacing": (),
    "graph_positions": ("nodes", 3),
    "graph_velocity": ("nodes", 3),
    "graph_travelled": ("nodes", 3),
    "graph_edges": ("edges", 2),
    "graph_rest": ("edges",),
    "graph_stretched": ("edges",),
    "graph_cut": ("cuts", 2),
    "graph_persistence": (2,),
    "map_T_map_camera": (4, 4),
    "map_frame": (),
    "map_stamp": (),
    "map_interval": (),
    "map_log_bias": (),
    "map_keyframe_poses": ("views", 4, 4),
    "map_keyframe_depths": ("views",),
}
# What a Gaussian looked like away from instruments matters for the next seconds only.
KEPT = {name: kind for name, kind in FIELDS.items() if name != "clear_colors"}
INDICES = ("gaussian_node_index", "graph_edges", "graph_cut")  # of graph nodes


def save_map(path: Path, tissue: TissueMap) -> None:
    """Write a file that is whole or not there at all.

    Raises:
        InputError: the map has not seen a frame yet.
        ConfigurationError: the place cannot be written.
    """
    write_map(path, map_arrays(tissue))


def map_arrays(tissue: TissueMap) -> dict[str, np.ndarray]:
    """Copies of everything that a file holds, by name.

    Raises:
        InputError: the map has not seen a frame yet.
    """
    if tissue.graph is None:
        raise InputError("the tissue map is empty: it can be saved after its first frame")
    alive = tissue.store.alive
    arrays = {GAUSSIANS + name: tissue.store.view(name)[alive] for name in KEPT}
    arrays |= {GRAPH + name: np.array(value) for name, value in tissue.graph.state().items()}
    return arrays | {MAP + name: np.array(value) for name, value in tissue.state().items()}


def write_map(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write what `map_arrays` returned. Raises ConfigurationError as `save_map`."""
    header = {"version": np.array(VERSION), "checksum": np.array(_checksum(arrays))}
    with replacing(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **header, **arrays)


def load_map(path: Path, config: TissueConfig | None = None) -> TissueMap:
    """The map of a file; it goes on where the camera was when it was saved.

    Raises:
        InputError: not such a file, of another version, damaged, or larger than the capacity.
    """
    try:
        arrays = read_archive(path)
    except InputError as error:
        raise InputError(f"{path} is not a tissue map: {error}") from error
    version, checksum = arrays.pop("version", np.array(0)), arrays.pop("checksum", np.array(""))
    if version.size != 1 or str(version.item()) != str(VERSION):
        raise InputError(f"{path} is not a tissue map of version {VERSION}, the one accepted")
    if checksum.size != 1 or str(checksum.item()) != _checksum(arrays):
        raise InputError(f"{path} is damaged: its checksum does not match, save the map again")
    _check(path, arrays)
    try:
        return _restored(path, arrays, config)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"{path} is not a tissue map: {error!r}") from error


def _restored(path: Path, arrays: dict[str, np.ndarray], config: TissueConfig | None) -> TissueMap:
    tissue = TissueMap(config)
    rows = _with_prefix(arrays, GAUSSIANS)
    if len(rows["means"]) > tissue.store.capacity:
        raise InputError(
            f"{path} holds {len(rows['means'])} Gaussians: accepted are as many as the capacity, "
            f"{tissue.store.capacity}"
        )
    tissue.store.add(rows | {"clear_colors": rows["colors"]})
    graph = DeformationGraph.restored(_with_prefix(arrays, GRAPH), tissue.config.graph)
    tissue.restore(_with_prefix(arrays, MAP), graph)
    return tissue


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Names, shapes, finite numbers and indices: a checksum proves no origin.

    Raises:
        InputError: something is missing, or is not what the next frame could use.
    """
    shapes = {GAUSSIANS + name: ("count", *shape) for name, (shape, _) in KEPT.items()} | SHAPES
    sizes: dict[str, int] = {}
    for name, axes in shapes.items():
        value = arrays.get(name)
        if value is None:
            raise InputError(f"{path} is not a tissue map: '{name}' is missing")
        agree = value.ndim == len(axes) and all(
            sizes.setdefault(axis, size) == size if isinstance(axis, str) else axis == size
            for axis, size in zip(axes, value.shape)
        )
        if not agree or value.dtype.kind not in "fiub" or not np.isfinite(value).all():
            raise InputError(
                f"{path} is not a tissue map: '{name}' is {value.dtype} of shape "
                f"{list(value.shape)}, finite numbers of {list(axes)} are accepted"
            )
    for name in INDICES:
        value = arrays[name]
        if value.size and not 0 <= value.min() <= value.max() < sizes["nodes"]:
            raise InputError(f"{path} is not a tissue map: '{name}' names nodes that are not there")


def _with_prefix(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype.str} {value.shape} ".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
