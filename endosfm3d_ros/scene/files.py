"""What a run leaves for people and other programs, apart from ROS: clouds, meshes, map, pictures.

| file | |
|---|---|
| `scene.ply` | complete cloud: the map and instruments at the last image; all depth without a map |
| `scene.glb` | surface of the tissue and instruments at the last image |
| `tool_<id>.ply` | closed mesh of every instrument that had a pose |
| `map.npz` | the tissue map as it can be loaded again |
| `map.ply`, `map.splat` | the tissue map for viewers of splats |
| `contact_sheet.png` | image, depth, confidence of some frames |
| `film.mp4` | image, depth, image seen through instruments |

Clouds, surface and splats share the map frame: the optical frame of the first image (x right, y
down, z forward). PLY and GLB files say so, with the unit; only `tool_<id>.ply` has its own frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.scene.accumulator import CloudAccumulator
from endosfm3d_ros.scene.cloud import cloud_from_depth
from endosfm3d_ros.scene.film import Film
from endosfm3d_ros.scene.pictures import ContactSheet
from endosfm3d_ros.scene.ply import write_cloud
from endosfm3d_ros.scene.scene_cloud import declaration, scene_cloud
from endosfm3d_ros.types import Cloud, SceneUpdate, TrackingState

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.map import TissueMap
    from endosfm3d_ros.tools.stage import PlacedTool

POINTS_OF_A_FRAME = 20_000


class SceneFiles:
    """Takes every update of a run; `finish` writes what is left to write.

    Args:
        folder: exists.
        fps: of the recording.
        splat_scale: factor on the lengths of `map.ply` and `map.splat`, for viewers made for rooms.
    """

    def __init__(self, folder: Path, fps: float, splat_scale: float = 1.0) -> None:
        self._folder, self._splat_scale = folder, splat_scale
        self._sheet = ContactSheet()
        self._film = Film(folder / "film.mp4", fps)
        self._depths = CloudAccumulator()
        self.tools: dict[int, PlacedTool] = {}  # the last one of each that had a pose

    def add(self, i: int, update: SceneUpdate) -> np.ndarray:
        """The result of the frame at position `i`; returns the frame of the film, RGB uint8."""
        self._sheet.add(i, update)
        picture = self._film.add(update)
        for tool in update.tools.tools if update.tools else ():
            if tool.placement is not None and tool.placement.valid:
                self.tools[tool.track.id] = tool
        if update.tissue is None and update.pose.state != TrackingState.LOST:
            cloud = cloud_from_depth(update.depth, update.image, POINTS_OF_A_FRAME)
            self._depths.add(cloud, update.pose.T_map_camera)
        return picture

    def finish(self, update: SceneUpdate, tissue: TissueMap | None) -> dict[str, int]:
        """Write everything else; returns counts.

        Args:
            update: the last one.
            tissue: the map after it; None where none is kept.
        """
        from endosfm3d_ros.scene.export import write_scene, write_tool

        self._film.close()
        self._sheet.write(self._folder / "contact_sheet.png")
        cloud = self.cloud(update)
        if cloud is not None:
            write_cloud(self._folder / "scene.ply", cloud, *declaration(update))
        write_scene(self._folder / "scene.glb", update)
        for name, tool in self.tools.items():
            write_tool(self._folder / f"tool_{name}.ply", tool)
        counts = {"scene_points": 0 if cloud is None else len(cloud.points)}
        if update.tools is not None:
            counts["tools"] = len(self.tools)
        if tissue is not None and tissue.graph is not None:
            counts["gaussians"] = tissue.store.count
            self._write_map(tissue, *declaration(update))
        return counts

    def cloud(self, update: SceneUpdate) -> Cloud | None:
        """The scene in the map frame; None where no frame had depth and a pose."""
        return self._depths.cloud if update.tissue is None else scene_cloud(update)

    def _write_map(self, tissue: TissueMap, frame: str, unit: str) -> None:
        from endosfm3d_ros.tissue.map_file import save_map
        from endosfm3d_ros.tissue.store import splat_file

        save_map(self._folder / "map.npz", tissue)
        path, scale = self._folder / "map.ply", self._splat_scale
        splat_file.write_splats(path, tissue.store, unit.removeprefix("unit "), frame, scale=scale)
        vertices = splat_file.scaled(splat_file.splat_vertices(tissue.store), scale)
        splat_file.write_compact(self._folder / "map.splat", vertices)
