"""`~/save_map` and `~/load_map`: files of the tissue map, handled between two frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rclpy.node import Node
from rclpy.task import Future

from endosfm3d_ros.errors import ConfigurationError, EndoError, InputError
from endosfm3d_ros.live import LivePipeline
from endosfm3d_ros.pipeline import Pipeline
from endosfm3d_ros.srv import MapFile
from endosfm3d_ros.types import ScaleSource

NATIVE, SPLATS = ".npz", ".ply"


class MapServices:
    """Offers both services; the map is touched between frames only.

    Args:
        node: creates the services.
        live: what runs now; None while the node is not active.
    """

    def __init__(self, node: Node, live: Callable[[], LivePipeline | None]) -> None:
        self._node = node
        self._live = live
        actions = {"~/save_map": save, "~/load_map": load}
        self._services = [
            node.create_service(MapFile, name, self._answer(action))
            for name, action in actions.items()
        ]

    def destroy(self) -> None:
        """Take the services down."""
        for service in self._services:
            self._node.destroy_service(service)

    def _answer(self, action: Callable[[Pipeline, Path], str]) -> Callable[..., object]:
        async def answer(request: MapFile.Request, response: MapFile.Response) -> MapFile.Response:
            live = self._live()
            if live is None:
                response.success, response.message = False, "the node is not active"
                return response
            done = Future(executor=self._node.executor)
            path = Path(request.path).expanduser()
            live.between_frames(lambda pipeline: done.set_result(_try(action, pipeline, path)))
            response.success, response.message = await done
            return response

        return answer


def save(pipeline: Pipeline, path: Path) -> str:
    """Write the map; returns what was written.

    Raises:
        InputError: another kind of file, or a map that is still empty.
        ConfigurationError: no map is kept, or the place cannot be written.
    """
    from endosfm3d_ros.tissue.map_file import save_map
    from endosfm3d_ros.tissue.splat_file import write_splats

    tissue = _tissue(pipeline)
    if path.suffix not in (NATIVE, SPLATS):
        raise InputError(f"map file '{path}': names that end in {NATIVE} or {SPLATS} are accepted")
    if not path.parent.is_dir():
        raise ConfigurationError(f"map file '{path}': the folder {path.parent} does not exist")
    if tissue.graph is None:
        raise InputError("the tissue map is empty: it can be saved after its first frame")
    if path.suffix == NATIVE:
        save_map(path, tissue)
    else:
        relative = tissue.scale == ScaleSource.RELATIVE
        write_splats(path, tissue.store, "relative" if relative else "metre")
    return f"{tissue.store.count} Gaussians saved to {path}"


def load(pipeline: Pipeline, path: Path) -> str:
    """Go on with the map of a file, the camera where it was when the map was saved.

    Raises:
        InputError: no native file, a damaged one, or one whose scale is not the stream's.
        ConfigurationError: no map is kept.
    """
    from endosfm3d_ros.tissue.map_file import load_map

    tissue = _tissue(pipeline)
    if path.suffix != NATIVE:
        raise InputError(
            f"map file '{path}': a {NATIVE} file of ~/save_map is accepted, other kinds lack what "
            "the next frame needs"
        )
    loaded = load_map(path, tissue.config)
    relative = [each.scale == ScaleSource.RELATIVE for each in (tissue, loaded)]
    if tissue.graph is not None and relative[0] != relative[1]:
        raise InputError(
            f"map file '{path}' has scale '{loaded.scale.value}', the stream "
            f"'{tissue.scale.value}': both must be metric, or both relative"
        )
    pipeline.tissue = loaded
    return f"{loaded.store.count} Gaussians loaded from {path}"


def _tissue(pipeline: Pipeline):  # noqa: ANN202 - the map's module imports torch
    if pipeline.tissue is None:
        raise ConfigurationError("no tissue map is kept: set the parameter tissue_map to true")
    return pipeline.tissue


def _try(
    action: Callable[[Pipeline, Path], str], pipeline: Pipeline, path: Path
) -> tuple[bool, str]:
    """(success, sentence); no error leaves the pipeline's threads."""
    try:
        return True, action(pipeline, path)
    except (EndoError, OSError) as error:
        return False, str(error)
