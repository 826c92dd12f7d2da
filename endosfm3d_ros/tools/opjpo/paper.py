"""The alignment as EndoLRMGS publishes it: orthographic scale, then an exhaustive search.

It moves and scales the model, never turns it, and is kept for comparison: `placement` is better
and faster. Equation numbers are those of the publication.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera

MIN_POINTS = 3  # of a hull with an area


@dataclass(frozen=True)
class PaperConfig:
    """Published values."""

    grid: tuple[int, int, int] = (10, 10, 20)  # candidates along x, y, z
    depth_range: tuple[float, float] = (-0.005, 0.015)  # m, moved along z
    dilation: int = 3  # px, side of the square that each projected vertex covers
    released_hull_perimeter: bool = False  # True: the released code takes perimeters for areas


@dataclass(frozen=True)
class OrthographicScale:
    """Areas of tissue and tool on the orthographic plane, and the scales that follow."""

    M_ortho: np.ndarray  # (4, 4), Eq. (5)
    box_areas: tuple[float, float]  # tissue, tool
    hull_sizes: tuple[float, float]  # areas, or perimeters as released
    s0: float  # Eq. (7) with bounding boxes
    s1: float  # Eq. (7) with hulls

    @property
    def s(self) -> float:
        """The scale that is used."""
        return (self.s0 + self.s1) / 2


@dataclass(frozen=True)
class SearchResult:
    """The best candidate of the exhaustive search."""

    translation: np.ndarray  # (3,) added to the scaled model
    index: tuple[int, int, int]  # in the grid
    half_range_xy: np.ndarray  # (2,) searched to either side
    initial_iou: float  # without translation
    iou: float


def tissue_points(mask: np.ndarray, depth: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """(N, 3) float64 camera points of the tissue behind the mask, where its depth is known.

    Raises:
        InputError: fewer than three such pixels.
    """
    known = mask & np.isfinite(depth) & (depth > 0)
    rows, columns = np.nonzero(known)
    if len(rows) < MIN_POINTS:
        raise InputError(f"{len(rows)} mask pixels with tissue depth: {MIN_POINTS} are needed")
    return camera.unproject(np.column_stack([columns, rows])) * depth[known][:, None]


def orthographic_matrix(points: np.ndarray) -> np.ndarray:
    """(4, 4) map of the bounding box of (N, 3) points to the cube [-1, 1]^3, Eq. (5).

    Raises:
        InputError: all points share one x or one y.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    size = high - low
    if not (size[:2] > 0).all():
        raise InputError(f"tissue behind the tool spans {size[0]:g} x {size[1]:g}: a line, no area")
    depth = size[2] or 1.0  # a flat cloud facing the camera; only x and y are used
    M = np.diag([2 / size[0], 2 / size[1], -2 / depth, 1.0])
    M[:3, 3] = -(high + low) / [size[0], size[1], depth]
    return M


def orthographic_scale(
    vertices: np.ndarray, tissue: np.ndarray, config: PaperConfig
) -> OrthographicScale:
    """Scale of (V, 3) tool vertices in optical axes against (N, 3) tissue points, Eqs. (6), (7)."""
    M = orthographic_matrix(tissue)
    planes = [points[:, :2] @ M[:2, :2].T + M[:2, 3] for points in (tissue, vertices)]
    boxes = tuple(float(np.prod(np.ptp(plane, axis=0))) for plane in planes)
    hulls = tuple(hull_size(plane, config.released_hull_perimeter) for plane in planes)
    s0, s1 = (float(np.sqrt(a / b)) for a, b in (boxes, hulls))
    return OrthographicScale(M, boxes, hulls, s0, s1)


def hull_size(plane: np.ndarray, perimeter: bool) -> float:
    """Area (or perimeter) of the convex hull of (N, 2) points.

    Raises:
        InputError: the points lie on a line.
    """
    try:
        hull = ConvexHull(plane)
    except QhullError as error:
        raise InputError(f"{len(plane)} points on a line have no hull area") from error
    return float(hull.area if perimeter else hull.volume)  # SciPy's names for two dimensions


def exhaustive_search(
    scaled: np.ndarray, mask: np.ndarray, camera: PinholeCamera, config: PaperConfig
) -> SearchResult:
    """The translation of (V, 3) scaled vertices with the largest overlap, Eq. (8)."""
    half = np.ptp(scaled, axis=0)[:2] / 2
    ranges = [(-half[0], half[0]), (-half[1], half[1]), config.depth_range]
    axes = [np.linspace(*ends, count) for ends, count in zip(ranges, config.grid)]
    ious = np.empty(config.grid)
    for index in np.ndindex(*config.grid):
        moved = scaled + [axis[i] for axis, i in zip(axes, index)]
        ious[index] = splat_iou(moved, mask, camera, config.dilation)
    best = np.unravel_index(int(ious.argmax()), config.grid)
    return SearchResult(
        translation=np.array([axis[i] for axis, i in zip(axes, best)]),
        index=tuple(int(i) for i in best),
        half_range_xy=half,
        initial_iou=splat_iou(scaled, mask, camera, config.dilation),
        iou=float(ious[best]),
    )


def splat_iou(points: np.ndarray, mask: np.ndarray, camera: PinholeCamera, dilation: int) -> float:
    """Published overlap: each (N, 3) point sets the pixel it truncates to and its neighbours."""
    points = points[points[:, 2] > 0]
    u, v = (
        (points[:, i] * focal / points[:, 2] + centre).astype(np.int64)
        for i, (focal, centre) in enumerate(((camera.fx, camera.cx), (camera.fy, camera.cy)))
    )
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    splat = np.zeros((camera.height, camera.width), np.uint8)
    splat[v[inside], u[inside]] = 1
    splat = cv2.dilate(splat, np.ones((dilation, dilation), np.uint8)).astype(bool)
    union = np.count_nonzero(splat | mask)
    return np.count_nonzero(splat & mask) / union if union else 0.0
