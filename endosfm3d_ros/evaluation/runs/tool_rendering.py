"""Pictures of placed tools: filled triangles, and the published splat of points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.shapes.silhouette import project
from endosfm3d_ros.tools.types import ToolModel, ToolPlacement

SHIFT = 4  # binary digits below the pixel that polygons are drawn with
POINTS = 100_000  # of one tool, about as many as vertices of a published mesh


@dataclass(frozen=True)
class PlacedMesh:
    """A model where it stands in the camera frame."""

    points: np.ndarray  # (V, 3) m
    faces: np.ndarray  # (F, 3)
    colors: np.ndarray  # (V, 3) uint8 RGB

    @classmethod
    def of(cls, model: ToolModel, placement: ToolPlacement) -> PlacedMesh:
        """A model by its placement."""
        return cls(placement.points(model.vertices), model.faces, model.colors)


def drawn(meshes: list[PlacedMesh], camera: PinholeCamera) -> np.ndarray:
    """(H, W, 3) uint8 RGB on black: triangles in their mean colour, the nearest drawn last."""
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    corners, colors, depths = [], [], []
    for mesh in meshes:
        pixels, front = project(mesh.points.astype(np.float32), camera)
        faces = mesh.faces[front[mesh.faces].all(axis=1)]
        corners.append(pixels[faces])
        colors.append(mesh.colors[faces].mean(axis=1))
        depths.append(mesh.points[faces, 2].mean(axis=1))
    if not corners:
        return image
    limit = 4 * max(camera.size)  # polygons far outside overflow OpenCV's fixed point
    order = np.argsort(-np.concatenate(depths))
    triangles = np.clip(np.concatenate(corners), -limit, limit)
    fixed = np.rint(triangles * 2**SHIFT).astype(np.int32)
    shades = np.concatenate(colors).tolist()
    for k in order:
        cv2.fillConvexPoly(image, fixed[k], shades[k], cv2.LINE_8, SHIFT)
    return image


def splatted(meshes: list[PlacedMesh], camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 and (H, W) bool: points of the surface, one pixel each, the nearest wins."""
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    covered = np.zeros(image.shape[:2], bool)
    if not meshes:
        return image, covered
    sampled = [surface_points(mesh, POINTS) for mesh in meshes]
    points, colors = (np.concatenate(parts) for parts in zip(*sampled))
    points, colors = points[points[:, 2] > 0], colors[points[:, 2] > 0]
    order = np.argsort(-points[:, 2])
    pixels = camera.project(points[order]).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < camera.size)).all(axis=1)
    column, row = pixels[inside].T
    image[row, column] = colors[order[inside]]
    covered[row, column] = True
    return image, covered


def surface_points(mesh: PlacedMesh, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points spread evenly over the surface, the same every time, and (N, 3) colours."""
    a, b, c = (mesh.points[mesh.faces[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    generator = np.random.default_rng(0)
    face = generator.choice(len(areas), count, p=areas / areas.sum())
    u, v = np.sort(generator.random((2, count)), axis=0)
    weights = np.stack([u, v - u, 1 - v], axis=1)[..., None]
    corners = mesh.faces[face]
    points = (mesh.points[corners] * weights).sum(axis=1)
    return points, (mesh.colors[corners] * weights).sum(axis=1).astype(np.uint8)
