"""The whole state of a map in one file: a NumPy archive with a version and a checksum.

Everything that the next frame needs is kept bit by bit; only the past frames that the map could
be rewound to are not.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tissue.gaussians import FIELDS
from endosfm3d_ros.tissue.graph import DeformationGraph
from endosfm3d_ros.tissue.map import TissueMap

VERSION = 2
GAUSSIANS = "gaussian_"
GRAPH = "graph_"
MAP = "map_"


def save_map(path: Path, tissue: TissueMap) -> None:
    """Write a file that is whole or not there at all.

    Raises:
        InputError: the map has not seen a frame yet.
        ConfigurationError: the place cannot be written.
    """
    if tissue.graph is None:
        raise InputError("the tissue map is empty: it can be saved after its first frame")
    alive = tissue.store.alive
    arrays = {GAUSSIANS + name: tissue.store.view(name)[alive] for name in FIELDS}
    arrays |= {GRAPH + name: value for name, value in tissue.graph.state().items()}
    arrays |= {MAP + name: value for name, value in tissue.state().items()}
    header = {"version": np.array(VERSION), "checksum": np.array(_checksum(arrays))}
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **header, **arrays)
        os.chmod(scratch, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(scratch, path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def load_map(path: Path, config: TissueConfig | None = None) -> TissueMap:
    """The map of a file; it goes on where the camera was when it was saved.

    Raises:
        InputError: not such a file, of another version, damaged, or larger than the capacity.
    """
    arrays = _read(path)
    if int(arrays.pop("version", 0)) != VERSION:
        raise InputError(f"{path} is not a tissue map of version {VERSION}, the one accepted")
    if str(arrays.pop("checksum")) != _checksum(arrays):
        raise InputError(f"{path} is damaged: its checksum does not match, save the map again")
    tissue = TissueMap(config)
    rows = _with_prefix(arrays, GAUSSIANS)
    if len(rows["means"]) > tissue.store.capacity:
        raise InputError(
            f"{path} holds {len(rows['means'])} Gaussians: accepted are as many as the capacity, "
            f"{tissue.store.capacity}"
        )
    tissue.store.add(rows)
    graph = DeformationGraph.restored(_with_prefix(arrays, GRAPH), tissue.config.graph)
    tissue.restore(_with_prefix(arrays, MAP), graph)
    return tissue


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path} is not a tissue map: {error}") from error


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
