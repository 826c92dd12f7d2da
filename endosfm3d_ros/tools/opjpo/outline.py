"""Points on the outer contour of a projected mesh, spread evenly along it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.shapes.silhouette import Contours, project

BEYOND = 1.5  # px from an edge at which nothing is covered if the edge is on the outline


@dataclass(frozen=True)
class Outline:
    """N points with the direction away from the tool, in window pixels."""

    points: np.ndarray  # (N, 3) camera frame
    pixels: np.ndarray  # (N, 2)
    normals: np.ndarray  # (N, 2) unit
    weights: np.ndarray  # (N,) share of the outline's length
    edges: np.ndarray  # (N,) of the mesh, that they lie on

    def kept(self, which: np.ndarray) -> Outline:
        """The points of a (N,) bool; their weights sum up to one."""
        weights = self.weights[which]
        total = max(float(weights.sum()), 1e-12)
        kept = (each[which] for each in (self.points, self.pixels, self.normals))
        return Outline(*kept, weights / total, self.edges[which])

    def seen_by(self, camera: PinholeCamera) -> Outline:
        """With pixels from perspective projection: even steps in space are not even on screen."""
        return replace(self, pixels=project(self.points, camera)[0])


def outline_of(contours: Contours, ends: np.ndarray, solid: np.ndarray, count: int) -> Outline:
    """About `count` points of the contours of one pose that have nothing beside them.

    Args:
        contours: of a single pose, in window pixels.
        ends: (S, 2, 3) camera points of the edges' ends.
        solid: (h, w) bool, the filled silhouette.
        count: of points on all edges, inner ones included.
    """
    along = contours.ends[:, 1] - contours.ends[:, 0]
    length = np.hypot(*along.T)
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1) * np.sign(contours.layers)[:, None]
    outward = (outward / np.maximum(length, 1e-6)[:, None]).astype(np.float32)
    spacing = max(float(length.sum()) / count, 1.0)
    number = np.maximum(np.rint(length / spacing), 1).astype(np.intp)
    edge = np.repeat(np.arange(len(length)), number)
    rank = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)
    share = ((rank + 0.5) / number[edge]).astype(np.float32)[:, None]
    pixels = contours.ends[edge, 0] + share * along[edge]
    outer = ~covered(solid, pixels + BEYOND * outward[edge])
    edge, share = edge[outer], share[outer]
    points = ends[edge, 0] + share * (ends[edge, 1] - ends[edge, 0])
    weights = (length / number)[edge]
    return Outline(points, pixels[outer], outward[edge], weights, contours.edge[edge])


def covered(solid: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(N,) bool: whether (N, 2) positions lie in the silhouette; outside the window they do not."""
    height, width = solid.shape
    column, row = np.rint(np.clip(pixels, -1, (width, height))).astype(np.intp).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return inside & solid[np.where(inside, row, 0), np.where(inside, column, 0)]
