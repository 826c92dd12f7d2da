"""What is true between two pictures, and between tools and tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Vector
from endosfm3d_ros.datasets.simulation.anatomy.relief import tangents
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.rendering.render import Scenes, View

TOLERANCE = 0.0004  # metres of depth that a visible point may differ, for slanted pixels
FARTHEST = 0.03  # metres that a clearance is looked for
SPACING = 2  # texels of the relief per point of the tissue's cloud


@dataclass(frozen=True)
class Flow:
    """Where the pixels of one picture went in another."""

    flow: np.ndarray  # (H, W, 2) float32 pixels, x then y
    visible: np.ndarray  # (H, W) bool: seen in the other picture too


def flow_between(
    first: View, scenes: Scenes, cameras: Cameras, second: View, later: Scenes, others: Cameras
) -> Flow:
    """Optical flow of one scene from one view to another.

    Args:
        first: the picture whose pixels move.
        scenes: the scene at its time.
        cameras: its camera.
        second: the other picture.
        later: the scene at that time.
        others: the other camera.
    """
    points = later.deformation.apply(first.tissue.rest)
    points = _with_tools(points, first, scenes, cameras, later)
    u, v, z = others.project(points)
    columns = torch.arange(cameras.width, dtype=torch.float32)
    rows = torch.arange(cameras.height, dtype=torch.float32)[:, None]
    flow = torch.stack([u - columns, v - rows], -1)[0, 0]
    visible = _seen(u, v, z, first, second)
    if scenes.deformation.cut is not None:
        visible &= ~scenes.deformation.cut.inside(first.tissue.rest)  # walls were nowhere before
    return Flow(flow.numpy(), visible[0, 0].numpy())


def _with_tools(
    points: Vector, first: View, scenes: Scenes, cameras: Cameras, later: Scenes
) -> Vector:
    """World points at the later time; those on tools go with their solid."""
    metal = first.tools.label[0, 0] > 0
    if not bool(metal.any()):
        return points
    rays = cameras.to_world(cameras.rays())
    seen = [cameras.poses[:, :, i, 3, None, None] + rays[i] * first.depth for i in range(3)]
    here = torch.stack([plane[0, 0][metal] for plane in seen], -1).double()
    before, after = (s.tools.solids()[0][0, 0].double() for s in (scenes, later))
    motion = (after @ torch.linalg.inv(before))[first.tools.solid[0, 0][metal]]
    there = (motion[:, :3, :3] @ here[..., None])[..., 0] + motion[:, :3, 3]
    moved = [plane.clone() for plane in points]
    for plane, values in zip(moved, there.float().unbind(-1)):
        plane[0, 0][metal] = values
    return tuple(moved)


def _seen(u: Tensor, v: Tensor, z: Tensor, first: View, second: View) -> Tensor:
    """Whether the nearest pixel of the second picture shows the same depth and instrument."""
    height, width = second.depth.shape[2:]
    column, row = u.round().long(), v.round().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (z > 0)
    column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
    around = torch.stack(
        [
            second.depth[0, 0][(row + i).clamp(0, height - 1), (column + j).clamp(0, width - 1)]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
    )
    near = (z < around.amax(0) + TOLERANCE) & (z > around.amin(0) - TOLERANCE)
    return inside & near & (second.tools.label[0, 0][row, column] == first.tools.label)


def tissue_points(scenes: Scenes, spacing: int = SPACING) -> np.ndarray:
    """(n, 3) float32 world points of the whole tissue, seen or not, of one scene and time."""
    relief = scenes.relief
    rho = relief.inverse_depth[:, 0]
    a, b = tangents(relief.extent, *rho.shape[1:])
    z = 1 / rho[:, ::spacing, ::spacing]
    rest = (a[:, ::spacing, ::spacing] * z, b[:, ::spacing, ::spacing] * z, z)
    moved = scenes.deformation.apply(tuple(plane[:, None] for plane in rest))
    return torch.stack(moved, -1).reshape(-1, 3).numpy()


def clearance(tool_points: np.ndarray, tissue: np.ndarray) -> float:
    """Smallest distance in metres between points of a tool and of the tissue, (n, 3) each.

    Infinite where it is more than `FARTHEST`.
    """
    low, high = tool_points.min(0) - FARTHEST, tool_points.max(0) + FARTHEST
    near = tissue[((tissue > low) & (tissue < high)).all(1)]
    tree = cKDTree(tool_points)
    bound = tree.query(near[::50], distance_upper_bound=FARTHEST)[0].min(initial=FARTHEST)
    return float(tree.query(near, distance_upper_bound=1.001 * bound)[0].min(initial=np.inf))


def normals_of(view: View) -> np.ndarray:
    """(H, W, 3) float32 unit normals of the first scene and time, camera frame."""
    return torch.stack([plane[0, 0] for plane in view.normal], -1).numpy()
