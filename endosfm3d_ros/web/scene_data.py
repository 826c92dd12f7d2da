"""A scene packed for the viewer: places in steps of the box that holds them, the rest in bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.scene.cloud import rows, thinned
from endosfm3d_ros.scene.export import shown, tool_mesh
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import Cloud, CloudLabel

STEPS = 65535
MAX_POINTS = 150_000  # of tissue: 1.7 MB in a page


def packed_cloud(cloud: Cloud, max_points: int = MAX_POINTS) -> dict[str, Any]:
    """Points of tissue: 6 bytes of place, 3 of colour, kind and confidence.

    `place = low + step * whole number`; instruments are left out, they come as meshes.
    """
    tissue = cloud.labels < CloudLabel.TOOL
    kept = thinned(rows(cloud, tissue), max_points)
    places, low, step = in_steps(kept.points)
    return {
        "count": len(kept.points),
        "low": low.tolist(),
        "step": step.tolist(),
        "places": text(places),
        "colours": text(kept.colors.astype(np.uint8)),
        "kinds": text(kept.labels.astype(np.uint8)),
        "confidence": text(np.clip(kept.confidence * 255, 0, 255).astype(np.uint8)),
    }


def packed_tools(tools: Iterable[PlacedTool], T_scene_camera: np.ndarray) -> list[dict[str, Any]]:
    """Instruments as triangles in the frame of the scene.

    Args:
        tools: of one image.
        T_scene_camera: 4x4 of that image.
    """
    meshes = []
    for tool in tools:
        if not shown(tool):
            continue
        mesh = tool_mesh(tool)  # at its size, in its own frame
        T = T_scene_camera @ se3.from_rotation(tool.placement.R, tool.placement.t)
        places, low, step = in_steps(se3.transform(T, np.asarray(mesh.vertices)))
        meshes.append({
            "id": tool.track.id,
            "trusted": bool(tool.placement.trusted),
            "low": low.tolist(),
            "step": step.tolist(),
            "places": text(places),
            "faces": text(np.asarray(mesh.faces, np.uint32)),
        })  # fmt: skip
    return meshes


def packed_path(poses: Sequence[np.ndarray]) -> list[list[float]]:
    """Camera centres of 4x4 camera-to-scene matrices."""
    centres = np.array([T[:3, 3] for T in poses], np.float64).reshape(-1, 3)
    return [[float(f"{value:.6g}") for value in centre] for centre in centres]


def packed_camera(T_scene_camera: np.ndarray, camera: PinholeCamera) -> dict[str, Any]:
    """Where the camera is and what it sees, to be drawn and to be looked through."""
    return {
        "pose": [float(f"{value:.9g}") for value in np.asarray(T_scene_camera).ravel()],
        "size": [camera.width, camera.height],
        "focal": [camera.fx, camera.fy],
        "centre": [camera.cx, camera.cy],
    }


def in_steps(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((N, 3) uint16, low (3,), step (3,)) of (N, 3) finite points."""
    if not len(points):
        return np.empty((0, 3), np.uint16), np.zeros(3), np.ones(3)
    points = np.asarray(points, np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    step = np.maximum((high - low) / STEPS, 1e-12)
    return np.round((points - low) / step).astype(np.uint16), low, step


def text(array: np.ndarray) -> str:
    """Base 64 of an array, little-endian."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
