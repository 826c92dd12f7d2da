"""What each pixel sees of the instruments."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation import tiles
from endosfm3d_ros.datasets.simulation.anatomy.deformation import Vector
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.instruments.assemblies import Tools, templates
from endosfm3d_ros.datasets.simulation.instruments.solids import (
    BOX,
    ROD,
    SolidHits,
    meet_boxes,
    meet_rods,
)

NEAR = 0.004  # metres: nothing closer to a camera is drawn


@dataclass(frozen=True)
class ToolHits:
    """Planes of (N, T, H, W)."""

    depth: Tensor  # metres along the camera's z, infinite where no tool is seen
    normal: Vector  # camera frame, unit; zero where no tool is seen
    along: Tensor  # metres along the solid, for surface patterns
    around: Tensor
    label: Tensor  # long: 1.. instrument, 0 none
    part: Tensor  # long: SHAFT, WRIST, JAWS, 0 none
    material: Tensor  # long
    solid: Tensor  # long: row in `Tools.solids`


def cast_tools(tools: Tools, cameras: Cameras) -> ToolHits:
    """Meet the rays of all views with the solids of all tools.

    Args:
        tools: of N scenes and T times.
        cameras: of N scenes and T views.
    """
    frames, size, form = tools.solids()
    count, views = frames.shape[:2]
    local = torch.linalg.inv(cameras.poses)[:, :, None] @ frames  # solid in camera
    local, size = local.flatten(0, 1), size.repeat_interleave(views, 0)
    form = form.repeat_interleave(views, 0)
    canvas = tiles.Canvas(count * views, cameras.height, cameras.width)
    found = _candidates(canvas, tools, cameras.intrinsics.flatten(0, 1), local, size, form)
    pick = (found.image, found.shape)
    K = cameras.intrinsics.flatten(0, 1)[found.image]
    rays = torch.stack(
        [
            (found.x - K[:, 0, 2, None]) / K[:, 0, 0, None],
            (found.y - K[:, 1, 2, None]) / K[:, 1, 1, None],
            torch.ones_like(found.x),
        ],
        -1,
    )
    R, t = local[pick][:, :3, :3], local[pick][:, :3, 3]
    origin = -(t[:, None] @ R)
    hits = _meet(origin, rays @ R, size[pick], form[pick])
    depth = torch.where(hits.depth > NEAR, hits.depth, torch.inf)
    return _compose(canvas, found, depth, hits, R, tools)


def _candidates(
    canvas: tiles.Canvas, tools: Tools, K: Tensor, local: Tensor, size: Tensor, form: Tensor
) -> tiles.TilePixels:
    """Tiles that the projections of the solids may cover."""
    made = templates(str(size.device))
    reach = (made.reach[tools.kind.clamp(min=0)] * tools.scale[..., None]).flatten(1)
    reach = reach.repeat_interleave(len(size) // len(reach), 0)
    start = local[..., :3, 3]
    end = start + local[..., :3, 2] * size[..., 2:3]
    seen = (torch.maximum(start[..., 2], end[..., 2]) > NEAR) & (form >= 0)
    start, end = _clipped(start, end), _clipped(end, start)
    K = K[:, None]
    radii = torch.stack([start[..., 2], end[..., 2]], -1)
    radii = 1.35 * reach[..., None] * K[:, :, 0, 0, None] / radii
    return tiles.touched(canvas, _project(K, start), _project(K, end), radii, seen)


def _clipped(point: Tensor, other: Tensor) -> Tensor:
    """The end of a segment, moved along it to `NEAR` where it lies behind the camera."""
    missing = (NEAR - point[..., 2]).clamp(min=0)
    span = (other[..., 2] - point[..., 2]).clamp(min=1e-6)
    moved = point + (other - point) * (missing / span)[..., None].clamp(max=1)
    return torch.cat([moved[..., :2], moved[..., 2:].clamp(min=NEAR)], -1)


def _project(K: Tensor, point: Tensor) -> Tensor:
    focal = torch.stack([K[..., 0, 0], K[..., 1, 1]], -1)
    return point[..., :2] / point[..., 2:] * focal + K[..., :2, 2]


def _meet(origin: Tensor, rays: Tensor, size: Tensor, form: Tensor) -> SolidHits:
    """Rods and boxes, each with its own routine."""
    parts = []
    order = []
    for kind, meet in ((ROD, meet_rods), (BOX, meet_boxes)):
        rows = (form == kind).nonzero()[:, 0]
        parts.append(meet(origin[rows], rays[rows], size[rows]))
        order.append(rows)
    back = torch.cat(order).argsort()
    return SolidHits(
        *(
            torch.cat([getattr(part, name).to(rays.dtype) for part in parts])[back]
            for name in ("depth", "normal", "along", "around")
        )
    )


def _compose(
    canvas: tiles.Canvas,
    found: tiles.TilePixels,
    depth: Tensor,
    hits: SolidHits,
    R: Tensor,
    tools: Tools,
) -> ToolHits:
    """Keep the nearest solid of each pixel, with what shading and labels need of it."""
    flat, won = tiles.nearest(canvas, found, depth)
    pixel = found.pixel[won]
    rows = won.nonzero()[:, 0]
    count, views = tools.poses.shape[:2]
    shape = (count, views, canvas.height, canvas.width)
    normal = (R[rows] @ hits.normal[won][..., None])[..., 0]
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    made = templates(str(depth.device))
    solids = made.form.shape[1]
    tool, solid = found.shape[rows] // solids, found.shape[rows] % solids
    kind = tools.kind[found.image[rows] // views, tool]

    def plane(values: Tensor) -> Tensor:
        full = torch.zeros(canvas.pixels, dtype=values.dtype, device=values.device)
        full[pixel] = values
        return canvas.crop(full).reshape(shape)

    return ToolHits(
        canvas.crop(flat).reshape(shape),
        tuple(plane(axis) for axis in normal.unbind(-1)),
        plane(hits.along[won]),
        plane(hits.around[won]),
        plane(tool + 1),
        plane(made.part[kind, solid]),
        plane(made.material[kind, solid]),
        plane(found.shape[rows]),
    )
