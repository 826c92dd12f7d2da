"""The scene of one image as a cloud in the map frame, and what its file says about itself.

Clouds, surfaces and splats of a run share this frame, so that they lie over each other in any
viewer that applies no rotation of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.scene.complete import complete_cloud
from endosfm3d_ros.scene.ply import write_cloud
from endosfm3d_ros.types import Cloud, ScaleSource, SceneUpdate

MAX_POINTS = 1_000_000
AXES = "frame map: x right, y down, z forward as the camera of the first image"


def scene_cloud(update: SceneUpdate, max_points: int = MAX_POINTS) -> Cloud:
    """Tissue and instruments at the time of an image, in the map frame.

    Args:
        update: of that image; without a tissue map, its depth is all there is.
        max_points: of tissue, about.
    """
    cloud, T = complete_cloud(update, max_points), T_map_camera(update)
    normals = cloud.normals @ T[:3, :3].T.astype(cloud.normals.dtype)
    return replace(cloud, points=se3.transform(T, cloud.points), normals=normals)


def save_cloud(path: str | Path, update: SceneUpdate) -> None:
    """Write `scene_cloud` as PLY; its comments declare frame, units and where the scale is from.

    Raises:
        ConfigurationError: the place cannot be written.
    """
    write_cloud(Path(path), scene_cloud(update), *declaration(update))


def T_map_camera(update: SceneUpdate) -> np.ndarray:
    """4x4 camera-to-map of an update, as the map has it where there is one."""
    return update.pose.T_map_camera if update.tissue is None else update.tissue.T_map_camera


def units_of(update: SceneUpdate) -> str:
    """Of all lengths, for people."""
    relative = update.depth.scale == ScaleSource.RELATIVE
    return "scale-free units, not metres" if relative else "metres"


def declaration(update: SceneUpdate) -> tuple[str, ...]:
    """What every file of the scene says about itself."""
    return (
        f"endosfm3d_ros {AXES}",
        f"unit {units_of(update)}, scale from {update.depth.scale.value}",
    )
