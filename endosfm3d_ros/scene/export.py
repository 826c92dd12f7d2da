"""The scene of one image as files that 3-D programs open: GLB, and PLY for each instrument."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from endosfm3d_ros.files.atomic import write_bytes
from endosfm3d_ros.geometry.clouds import grid_triangles, lift
from endosfm3d_ros.scene.scene_cloud import T_map_camera, declaration
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import SceneUpdate


def write_scene(path: Path, update: SceneUpdate) -> None:
    """GLB of tissue surface and instruments in the map frame, metres (or relative units).

    The tissue is the map's render, in which instruments hide nothing; without a map it is the
    depth of this image. Objects are named `tissue` and `tool_<id>`. Coordinates are those of the
    clouds and splats of the run, so y points down, which glTF does not know: viewers show the
    scene upside down, and everything in one place. `extras` says so.
    """
    frame, unit = declaration(update)
    scene = trimesh.Scene(metadata={"frame": frame, "unit": unit})
    surface, T = tissue_surface(update), T_map_camera(update)
    if len(surface.faces):
        scene.add_geometry(surface, geom_name="tissue", node_name="tissue", transform=T)
    for tool in update.tools.tools if update.tools else ():
        if shown(tool):
            name = f"tool_{tool.track.id}"
            mesh = tool_mesh(tool)
            placement = np.eye(4)
            placement[:3, :3], placement[:3, 3] = tool.placement.R, tool.placement.t
            scene.add_geometry(mesh, geom_name=name, node_name=name, transform=T @ placement)
    if not scene.is_empty:
        write_bytes(path, trimesh.exchange.gltf.export_glb(scene))


def write_tool(path: Path, tool: PlacedTool) -> None:
    """PLY of an instrument's closed mesh in its own frame, at its size in the scene."""
    write_bytes(path, tool_mesh(tool).export(file_type="ply"))


def shown(tool: PlacedTool) -> bool:
    """Whether an instrument has a pose in its image."""
    return tool.placement is not None and tool.placement.valid


def tool_mesh(tool: PlacedTool) -> trimesh.Trimesh:
    """The model at the size that its placement gives it, in the model's frame."""
    return trimesh.Trimesh(
        tool.model.vertices * tool.placement.scale,
        tool.model.faces,
        vertex_colors=tool.model.colors,
        process=False,
    )


def tissue_surface(update: SceneUpdate) -> trimesh.Trimesh:
    """What the camera would see without instruments, as triangles; open where depth jumps."""
    view = update.tissue
    if view is None:
        depth, camera, image = update.depth.depth, update.depth.camera, update.image
    else:
        depth, camera, image = view.depth, view.camera, view.image
    points = lift(depth, camera)
    faces = grid_triangles(depth)
    used, index = np.unique(faces, return_inverse=True)
    return trimesh.Trimesh(
        points.reshape(-1, 3)[used],
        index.reshape(-1, 3),
        vertex_colors=image.reshape(-1, 3)[used],
        process=False,
    )
