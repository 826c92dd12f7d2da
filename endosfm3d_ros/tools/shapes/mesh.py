"""Meshes made fit for use: small, without debris, faces turned outwards."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PARTS_TOGETHER = 4  # parts that survive a common reduction: a shaft and two jaws overlap by .999
MIN_FACES = 24  # of a part of its own
AGGRESSIVENESS = 3  # of the decimation; from 5 on thin jaws collapse (silhouette overlap 0.86)


def decimated(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(v, 3) float32 vertices and (f, 3) int32 faces of about `count` triangles, or more.

    Quadric error metrics (Garland and Heckbert 1997), which stop before thin parts collapse; a
    mesh that is small enough stays. Many separate parts are reduced one by one, each at its own
    size: errors that are nothing on a shaft would be the end of a jaw.
    """
    if len(faces) <= count:
        return np.asarray(vertices, np.float32), np.asarray(faces, np.int32)
    parts = separate_parts(vertices, faces)
    if len(parts) <= PARTS_TOGETHER:
        return _simplified(vertices, faces, count)
    weights = np.sqrt([surface(*part) for part in parts])
    shares = np.maximum(count * weights / weights.sum(), MIN_FACES).astype(int)
    small = [_simplified(*part, share) for part, share in zip(parts, shares)]
    offsets = np.cumsum([0, *(len(part[0]) for part in small[:-1])])
    joined = [faces + offset for (_, faces), offset in zip(small, offsets)]
    return np.concatenate([part[0] for part in small]), np.concatenate(joined).astype(np.int32)


def separate_parts(vertices: np.ndarray, faces: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(v, 3) vertices and (f, 3) faces of each connected part."""
    _, part = part_of_vertices(len(vertices), faces)
    label = part[faces[:, 0]]
    order = np.argsort(label, kind="stable")
    parts = []
    for rows in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        used, index = np.unique(faces[rows], return_inverse=True)
        parts.append((vertices[used], index.reshape(-1, 3)))
    return parts


def part_of_vertices(count: int, faces: np.ndarray) -> tuple[int, np.ndarray]:
    """How many connected parts `faces` join, and the part of each of `count` vertices.

    Vertices that no face uses are parts of no surface and are not counted.
    """
    a, b, c = faces.T
    ends = np.concatenate([a, b]), np.concatenate([b, c])
    graph = coo_array((np.ones(2 * len(faces), np.int8), ends), shape=(count, count))
    part = connected_components(graph, directed=False)[1]
    return len(np.unique(part[a])), part


def surface(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Area of all triangles."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _simplified(
    vertices: np.ndarray, faces: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """One part with about `count` triangles."""
    if len(faces) <= count:
        return np.asarray(vertices, np.float32), np.asarray(faces, np.int32)
    import fast_simplification

    vertices, faces = fast_simplification.simplify(
        np.ascontiguousarray(vertices, np.float32),
        np.ascontiguousarray(faces, np.int32),
        target_count=count,
        agg=AGGRESSIVENESS,
    )
    return vertices.astype(np.float32), faces.astype(np.int32)


def without_debris(
    vertices: np.ndarray, faces: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """The mesh without parts whose area is below that share of the largest part's.

    A share of 1 leaves the largest part only; jaws may be parts of their own.
    """
    a, b, c = faces.T
    count = len(vertices)
    links = coo_array((np.ones(2 * len(faces)), (np.r_[a, b], np.r_[b, c])), (count, count))
    _, part = connected_components(links, directed=False)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.bincount(part[a], np.linalg.norm(normals, axis=1))
    kept = (areas >= share * areas.max())[part]
    number = np.cumsum(kept) - 1
    return vertices[kept], number[faces[kept[a]]].astype(np.int32)


def outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) the faces of a closed mesh, all turned over if they enclose a negative volume."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c))
    return faces if volume >= 0 else np.ascontiguousarray(faces[:, ::-1])
