"""`~/save_map` and `~/load_map`: the map is copied or exchanged between two frames, files are
read and written beside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.nodes.services.between_frames import Between, BetweenFrames
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.srv import MapFile
from endosfm3d_ros.types import ScaleSource

NATIVE, SPLATS = ".npz", ".ply"


def offer_map_services(services: BetweenFrames, folder: Callable[[], Path]) -> None:
    """Saves and loads below one folder, because anyone on the network may ask.

    Args:
        services: where they are offered.
        folder: of all maps; made when the first one is saved.
    """

    def on_save(request: MapFile.Request, between: Between) -> str:
        return save(between, made(folder()), request.path)

    def on_load(request: MapFile.Request, between: Between) -> str:
        return load(between, folder(), request.path)

    services.add(MapFile, "~/save_map", on_save)
    services.add(MapFile, "~/load_map", on_load)


def made(folder: Path) -> Path:
    """The folder, which is there now.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"map_folder {folder} cannot be made: {error.strerror}") from error
    return folder


def path_within(folder: Path, name: str) -> Path:
    """The file of that name below the folder, links followed.

    Args:
        folder: where maps are kept.
        name: relative to it, or absolute; `~` is expanded.

    Raises:
        InputError: no name, or one that lies elsewhere.
    """
    if not name or "\0" in name:
        raise InputError("no map file is named")
    try:
        root = folder.resolve()
        path = (root / os.path.expanduser(name)).resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise InputError(f"map file '{name}' cannot be found: {error}") from error
    if not path.is_relative_to(root) or path == root:
        raise InputError(
            f"map file '{name}' is outside {root}: names within this folder are accepted, the "
            "parameter map_folder chooses it"
        )
    return path


def save(between: Between, folder: Path, name: str) -> str:
    """Write the map; returns what was written.

    Raises:
        InputError: a name outside the folder, another kind of file, or a map that is still empty.
        ConfigurationError: no map is kept, or the place cannot be written.
    """
    between(_tissue)  # the first thing to know is whether there is a map at all
    from endosfm3d_ros.tissue.map_file import map_arrays, write_map
    from endosfm3d_ros.tissue.store.splat_file import splat_vertices, write_vertices

    path = path_within(folder, name)
    if path.suffix not in (NATIVE, SPLATS):
        raise InputError(f"map file '{path}': names that end in {NATIVE} or {SPLATS} are accepted")
    if not path.parent.is_dir():
        raise ConfigurationError(f"map file '{path}': the folder {path.parent} does not exist")
    if path.suffix == NATIVE:
        arrays = between(lambda pipeline: map_arrays(_tissue(pipeline)))
        count = len(arrays["gaussian_means"])
        write_map(path, arrays)
    else:
        vertices, unit = between(lambda p: (splat_vertices(_grown(p).store), _unit(p)))
        count = len(vertices)
        write_vertices(path, vertices, unit)
    return f"{count} Gaussians saved to {path}"


def load(between: Between, folder: Path, name: str) -> str:
    """Go on with the map of a file, the camera where it was when the map was saved.

    Raises:
        InputError: a name outside the folder, no native file, a damaged one, or one whose scale is
            not the stream's.
        ConfigurationError: no map is kept.
    """
    config = between(_tissue).config
    from endosfm3d_ros.tissue.map_file import load_map

    path = path_within(folder, name)
    if path.suffix != NATIVE:
        raise InputError(
            f"map file '{path}': a {NATIVE} file of ~/save_map is accepted, other kinds lack what "
            "the next frame needs"
        )
    loaded = load_map(path, config)

    def exchange(pipeline: Pipeline) -> None:
        tissue = _tissue(pipeline)
        relative = [each.scale == ScaleSource.RELATIVE for each in (tissue, loaded)]
        if tissue.graph is not None and relative[0] != relative[1]:
            raise InputError(
                f"map file '{path}' has scale '{loaded.scale.value}', the stream "
                f"'{tissue.scale.value}': both must be metric, or both relative"
            )
        pipeline.tissue = loaded

    between(exchange)
    return f"{loaded.store.count} Gaussians loaded from {path}"


def _unit(pipeline: Pipeline) -> str:
    return "relative" if pipeline.tissue.scale == ScaleSource.RELATIVE else "metre"


def _grown(pipeline: Pipeline):  # noqa: ANN202 - the map's module imports torch
    if _tissue(pipeline).graph is None:
        raise InputError("the tissue map is empty: it can be saved after its first frame")
    return pipeline.tissue


def _tissue(pipeline: Pipeline):  # noqa: ANN202 - the map's module imports torch
    if pipeline.tissue is None:
        raise ConfigurationError("no tissue map is kept: set the parameter tissue_map to true")
    return pipeline.tissue
