"""What a run leaves for people and other programs, apart from ROS: clouds, meshes, map, pictures.

| file | |
|---|---|
| `scene.ply` | complete cloud: the map and instruments at the last image; all depth without a map |
| `scene.glb` | surface of the tissue and instruments at the last image |
| `tool_<id>.ply` | closed mesh of every instrument that had a pose |
| `map.npz`, `map.ply` | the tissue map: native, and for viewers of splats |
| `contact_sheet.png`, `film.mp4` | image, depth, tissue without instruments |
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.scene.accumulator import CloudAccumulator
from endosfm3d_ros.scene.cloud import cloud_from_depth
from endosfm3d_ros.scene.film import Film
from endosfm3d_ros.scene.pictures import ContactSheet
from endosfm3d_ros.scene.ply import write_cloud
from endosfm3d_ros.types import Cloud, SceneUpdate, TrackingState

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.map import TissueMap
    from endosfm3d_ros.tools.stage import PlacedTool

POINTS_OF_A_FRAME = 20_000
MAX_POINTS = 1_000_000


class SceneFiles:
    """Takes every update of a run; `finish` writes what is left to write.

    Args:
        folder: exists.
        fps: of the recording.
    """

    def __init__(self, folder: Path, fps: float) -> None:
        self._folder = folder
        self._sheet = ContactSheet()
        self._film = Film(folder / "film.mp4", fps)
        self._depths = CloudAccumulator()
        self._tools: dict[int, PlacedTool] = {}

    def add(self, i: int, update: SceneUpdate) -> None:
        """The result of the frame at position `i`."""
        self._sheet.add(i, update)
        self._film.add(update)
        for tool in update.tools.tools if update.tools else ():
            if tool.placement is not None and tool.placement.valid:
                self._tools[tool.track.id] = tool
        if update.tissue is None and update.pose.state != TrackingState.LOST:
            cloud = cloud_from_depth(update.depth, update.image, POINTS_OF_A_FRAME)
            self._depths.add(cloud, update.pose.T_map_camera)

    def finish(self, update: SceneUpdate, tissue: TissueMap | None, units: str) -> dict[str, int]:
        """Write everything else; returns counts.

        Args:
            update: the last one.
            tissue: the map after it; None where none is kept.
            units: of positions, for people.
        """
        from endosfm3d_ros.scene.export import write_scene, write_tool

        self._film.close()
        self._sheet.write(self._folder / "contact_sheet.png")
        cloud = self._cloud(update)
        if cloud is not None:
            comment = f"endosfm3d_ros: map frame, {units}, scale from {update.depth.scale.value}"
            write_cloud(self._folder / "scene.ply", cloud, comment)
        write_scene(self._folder / "scene.glb", update)
        for name, tool in self._tools.items():
            write_tool(self._folder / f"tool_{name}.ply", tool)
        counts = {"scene_points": 0 if cloud is None else len(cloud.points)}
        if update.tools is not None:
            counts["tools"] = len(self._tools)
        if tissue is not None and tissue.graph is not None:
            counts["gaussians"] = tissue.store.count
            self._write_map(tissue, units)
        return counts

    def _cloud(self, update: SceneUpdate) -> Cloud | None:
        """The scene in the map frame."""
        from endosfm3d_ros.scene.complete import complete_cloud

        if update.tissue is None:
            return self._depths.cloud
        T, cloud = update.tissue.T_map_camera, complete_cloud(update, MAX_POINTS)
        normals = cloud.normals @ T[:3, :3].T.astype(cloud.normals.dtype)
        return replace(cloud, points=se3.transform(T, cloud.points), normals=normals)

    def _write_map(self, tissue: TissueMap, units: str) -> None:
        from endosfm3d_ros.tissue.map_file import save_map
        from endosfm3d_ros.tissue.store.splat_file import write_splats

        save_map(self._folder / "map.npz", tissue)
        write_splats(self._folder / "map.ply", tissue.store, units)
