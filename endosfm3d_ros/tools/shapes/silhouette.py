"""Solid silhouettes of meshes, many poses at once, without drawing a single triangle.

Turn every projected triangle the same way round and sum up what its edges contribute: where two
neighbours face the same way their common edge cancels, so only the contour remains. Summing its
crossings along a pixel row gives, at every pixel centre, the number of triangles that cover it.
Meshes may be open or wrongly oriented, and the result is that of filling all triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.shapes.edges import MeshEdges

NEAR = 1e-3  # of the depth unit; triangles with a vertex nearer than this are left out


@dataclass(frozen=True)
class Window:
    """A sampling of the image plane: pixel (i, j) of it looks along the camera's pixel (u, v).

    `u = left + step * i`, `v = top + step * j`; centres at integers, like everywhere.
    """

    left: float
    top: float
    step: float  # image pixels per window pixel
    width: int
    height: int

    @classmethod
    def whole(cls, camera: PinholeCamera) -> Window:
        """The image itself."""
        return cls(0.0, 0.0, 1.0, camera.width, camera.height)

    def from_image(self, pixels: np.ndarray) -> np.ndarray:
        """(..., 2) image pixels to window pixels."""
        return (pixels - (self.left, self.top)) / self.step

    def camera(self, image: PinholeCamera) -> PinholeCamera:
        """The undistorted camera of an image as one whose pixels are the window's."""
        left, top, step = self.left, self.top, self.step
        focal = image.fx / step, image.fy / step
        centre = (image.cx - left) / step, (image.cy - top) / step
        return PinholeCamera(self.width, self.height, *focal, *centre)


@dataclass(frozen=True)
class Contours:
    """The oriented contour edges of B silhouettes, flattened; walking along one, a positive
    `layers` has the covered side to the left of an upward edge (v decreasing)."""

    pose: np.ndarray  # (S,) which of the B silhouettes
    edge: np.ndarray  # (S,) index into MeshEdges
    ends: np.ndarray  # (S, 2, 2) pixels of both ends
    layers: np.ndarray  # (S,) int8 triangles gained when crossing to the right, v decreasing


class SilhouetteMesh:
    """A mesh prepared for silhouettes.

    Args:
        vertices: (V, 3) float32.
        faces: (F, 3) int32.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        self.vertices = np.asarray(vertices, np.float32)
        self.faces = np.asarray(faces, np.int32)

    @cached_property
    def corners(self) -> np.ndarray:
        """(3, F) vertices of the faces."""
        return np.ascontiguousarray(self.faces.T, np.intp)

    @cached_property
    def edges(self) -> MeshEdges:
        """Edges with their faces."""
        return MeshEdges.of(self.faces)

    def contours(self, pixels: np.ndarray, front: np.ndarray) -> Contours:
        """Contour edges of B projections.

        Args:
            pixels: (B, V, 2) projected vertices; anything where `front` is False.
            front: (B, V) bool, vertices that lie before the camera.
        """
        sides = facing(pixels, self.corners, front)  # (B, F + 1)
        edges = self.edges
        one, other = (sides.take(edges.faces[i], axis=1) * edges.turn[i] for i in range(2))
        layers = one + other  # (B, E)
        pose, edge = np.nonzero(layers)
        ends = pixels[pose[:, None], edges.vertices[edge]]
        return Contours(pose, edge, ends, layers[pose, edge])


def facing(pixels: np.ndarray, corners: np.ndarray, front: np.ndarray) -> np.ndarray:
    """(B, F + 1) int8 of (3, F) corners: +1 clockwise on the screen, -1 counter-clockwise, 0 not
    drawn.

    The last column is the face that open edges lack.
    """
    at = pixels.take(corners, axis=1)  # (B, 3, F, 2)
    ab, ac = at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]
    area = ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]
    sides = np.zeros((len(pixels), corners.shape[1] + 1), np.int8)
    sides[:, :-1] = np.sign(area)
    if not front.all():
        sides[:, :-1][~front[:, corners].all(axis=1)] = 0
    return sides


def project(points: np.ndarray, camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """(..., 2) float32 pixels and (...) bool in front, of (..., 3) camera points."""
    z = points[..., 2]
    front = z > NEAR
    if not front.all():
        z = np.where(front, z, 1)
    pixels = points[..., :2] / z[..., None]
    pixels *= np.array([camera.fx, camera.fy], pixels.dtype)
    pixels += np.array([camera.cx, camera.cy], pixels.dtype)
    return pixels, front


def filled(contours: Contours, count: int, width: int, height: int) -> np.ndarray:
    """(B, H, W) bool silhouettes from contours whose ends are pixels of a W x H raster."""
    x0, y0, x1, y1 = contours.ends.reshape(-1, 4).T.astype(np.float64)  # slopes may be steep
    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, height).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1)), 0, height).astype(np.int64)  # exclusive
    rows = last - first
    drawn = rows > 0
    rows, first = rows[drawn], first[drawn]
    x0, y0, x1, y1 = x0[drawn], y0[drawn], x1[drawn], y1[drawn]
    step = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
    row = np.repeat(first, rows) + step
    slope = (x1 - x0) / (y1 - y0)
    x = np.repeat(x0 - slope * y0, rows) + np.repeat(slope, rows) * row
    column = np.clip(np.ceil(x), 0, width).astype(np.int64)
    weight = (contours.layers[drawn] * np.where(y1 < y0, 1, -1)).astype(np.float32)
    flat = (np.repeat(contours.pose[drawn], rows) * height + row) * (width + 1) + column
    steps = np.bincount(flat, np.repeat(weight, rows), minlength=count * height * (width + 1))
    layers = steps.astype(np.int16).reshape(count, height, width + 1).cumsum(axis=2, dtype=np.int16)
    return layers[..., :-1] > 0


def silhouettes(
    mesh: SilhouetteMesh, points: np.ndarray, camera: PinholeCamera, window: Window
) -> np.ndarray:
    """(B, H, W) bool: window pixels whose centre some triangle covers.

    Args:
        mesh: whose faces join the points.
        points: (B, V, 3) vertices in the camera frame.
        camera: undistorted.
        window: which part of the image, and how finely.
    """
    contours = mesh.contours(*project(points, window.camera(camera)))
    return filled(contours, len(points), window.width, window.height)


def silhouette(vertices: np.ndarray, faces: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """(H, W) bool solid silhouette of (V, 3) camera points in the whole image."""
    mesh = SilhouetteMesh(vertices, faces)
    return silhouettes(mesh, mesh.vertices[None], camera, Window.whole(camera))[0]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0
