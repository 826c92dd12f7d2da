"""Instruments as triangle meshes, exact to the facets of their rods."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.datasets.formats.tool_truth import ToolMesh
from endosfm3d_ros.datasets.simulation.instruments.assemblies import Tools
from endosfm3d_ros.datasets.simulation.instruments.solids import BOX

FACETS = 48  # around a rod: 0.01 mm off on a shaft of 8 mm
RING = 0.002  # metres between the rings of a rod, so that vertices sample it
SHAFT = 0.100  # metres of shaft that a mesh shows


def tool_mesh(tools: Tools, tool: int) -> ToolMesh:
    """The closed surfaces of all solids of one tool, in the tool frame (see `instruments`).

    The first scene and time are taken.

    Args:
        tools: all tools.
        tool: index of the tool.
    """
    frames, size, form = (part[0] for part in tools.solids())
    each = form.shape[0] // tools.kind.shape[1]
    rows = range(tool * each, (tool + 1) * each)
    inverse = np.linalg.inv(tools.poses[0, 0, tool].double().numpy())
    vertices, faces, count = [], [], 0
    for row in rows:
        if form[row] < 0:
            continue
        local = inverse @ frames[0, row].double().numpy()
        points, triangles = (_box if form[row] == BOX else _rod)(size[row].double().numpy())
        vertices.append(points @ local[:3, :3].T + local[:3, 3])
        faces.append(triangles + count)
        count += len(points)
    return ToolMesh(np.concatenate(vertices).astype(np.float32), np.concatenate(faces))


def _rod(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rings along a capped cone, then the two middles of its caps."""
    first, last, length, flat = size
    start = max(0.0, length - SHAFT)
    rings = max(2, int(np.ceil((length - start) / RING)) + 1)
    z = np.linspace(start, length, rings)
    radius = first + (last - first) * z / length
    angle = 2 * np.pi * np.arange(FACETS) / FACETS
    circle = np.stack([np.cos(angle), flat * np.sin(angle)], -1)
    points = np.empty((rings, FACETS, 3))
    points[..., :2] = radius[:, None, None] * circle
    points[..., 2] = z[:, None]
    own = np.arange(rings * FACETS).reshape(rings, FACETS)
    after = np.roll(own, -1, 1)
    low, high = (own[:-1], after[:-1]), (own[1:], after[1:])
    middle = rings * FACETS
    faces = [
        np.stack([low[0], low[1], high[1]], -1).reshape(-1, 3),
        np.stack([low[0], high[1], high[0]], -1).reshape(-1, 3),
        np.stack([after[0], own[0], np.full(FACETS, middle)], -1),
        np.stack([own[-1], after[-1], np.full(FACETS, middle + 1)], -1),
    ]
    ends = [[0, 0, start], [0, 0, length]]
    return np.concatenate([points.reshape(-1, 3), ends]), np.concatenate(faces)


def _box(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Six sides, each a grid, so that vertices sample them."""
    low = np.array([-size[0], -size[1], 0.0])
    span = np.array([2 * size[0], 2 * size[1], size[2]])
    vertices, faces, count = [], [], 0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        shape = [max(2, int(np.ceil(span[i] / RING)) + 1) for i in (u, v)]
        grid = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
        own = np.arange(shape[0] * shape[1]).reshape(shape)
        a, b, c, d = own[:-1, :-1], own[1:, :-1], own[1:, 1:], own[:-1, 1:]
        sheet = np.concatenate(
            [np.stack(corner, -1).reshape(-1, 3) for corner in ((a, b, c), (a, c, d))]
        )
        for side in (0, 1):
            points = np.empty((own.size, 3))
            points[:, u], points[:, v], points[:, axis] = grid[0].ravel(), grid[1].ravel(), side
            vertices.append(low + span * points)
            faces.append((sheet if side else sheet[:, ::-1]) + count)
            count += own.size
    return np.concatenate(vertices), np.concatenate(faces)
