"""The scene of one image as files that 3-D programs open: GLB, and PLY for each instrument."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from endosfm3d_ros.files.atomic import write_bytes
from endosfm3d_ros.geometry.clouds import grid_triangles, lift
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import SceneUpdate

GLTF_AXES = np.diag([1.0, -1.0, -1.0, 1.0])  # glTF looks along -z with y up


def write_scene(path: Path, update: SceneUpdate) -> None:
    """GLB of tissue surface and instruments in the camera frame, metres (or relative units).

    The tissue is the map's render, in which instruments hide nothing; without a map it is the
    depth of this image. Objects are named `tissue` and `tool_<id>`.
    """
    scene = trimesh.Scene()
    surface = tissue_surface(update)
    if len(surface.faces):
        scene.add_geometry(surface, geom_name="tissue", node_name="tissue", transform=GLTF_AXES)
    for tool in update.tools.tools if update.tools else ():
        if shown(tool):
            name = f"tool_{tool.track.id}"
            mesh = tool_mesh(tool)
            placement = np.eye(4)
            placement[:3, :3], placement[:3, 3] = tool.placement.R, tool.placement.t
            transform = GLTF_AXES @ placement
            scene.add_geometry(mesh, geom_name=name, node_name=name, transform=transform)
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
