"""One picture's truth and light from scenes and cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Deformation, Vector
from endosfm3d_ros.datasets.simulation.anatomy.organs import WOUND
from endosfm3d_ros.datasets.simulation.anatomy.relief import Relief
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.instruments.assemblies import Tools
from endosfm3d_ros.datasets.simulation.instruments.casting import ToolHits, cast_tools
from endosfm3d_ros.datasets.simulation.rendering.appearance import Materials, surface
from endosfm3d_ros.datasets.simulation.rendering.casting import Hits, cast
from endosfm3d_ros.datasets.simulation.rendering.lighting import Lamps, shade, unit


@dataclass(frozen=True)
class Scenes:
    """N scenes as they are built; what moves has T times."""

    relief: Relief
    deformation: Deformation
    materials: Materials
    tools: Tools
    lamps: Lamps
    shadow: Tensor  # (N) how dark the shadows of tools are


@dataclass(frozen=True)
class View:
    """What N scenes look like to T cameras; planes of (N, T, H, W)."""

    light: Tensor  # (N, 3, T, H, W) linear, unclipped
    depth: Tensor  # metres along z, instruments included
    tissue: Hits
    normal: Vector  # camera frame, unit, instruments included
    tools: ToolHits


def render(scenes: Scenes, cameras: Cameras) -> View:
    """Cast, compose and light.

    Args:
        scenes: N of them.
        cameras: N times T views.
    """
    hits = cast(scenes.relief, scenes.deformation, cameras)
    x, y, z = hits.rest
    a, b = x / z, y / z
    organ = scenes.relief.lookup(scenes.relief.organ, a, b, mode="nearest")[:, 0].long()
    cut = scenes.deformation.cut
    if cut is not None:
        organ = torch.where(cut.inside(hits.rest), WOUND, organ)
    open_ = scenes.relief.lookup(scenes.relief.open, a, b)[:, 0]
    normal = scenes.relief.lookup(scenes.relief.normals, a, b).unbind(1)
    if not scenes.deformation.still:
        normal = scenes.deformation.turned(hits.rest, normal)
    normal = unit(cameras.to_camera(normal))[0]
    tools = cast_tools(scenes.tools, cameras)
    metal = tools.label > 0
    nearer = metal & (tools.depth < hits.depth)
    tools = _hidden(tools, nearer)
    lit = _unshadowed(tools, hits.depth, scenes, cameras)
    depth = torch.where(nearer, tools.depth, hits.depth)
    normal = tuple(torch.where(nearer, t, n) for t, n in zip(tools.normal, normal))
    position = tuple(ray * depth for ray in cameras.rays())
    seen = surface(scenes.materials, organ, hits, tools, cameras)
    open_ = torch.where(nearer, 1.0, open_)
    light = shade(seen, position, normal, open_, lit, scenes.lamps)
    return View(light, depth, hits, normal, tools)


def _hidden(tools: ToolHits, nearer: Tensor) -> ToolHits:
    """The tools without what lies inside the tissue."""
    return ToolHits(
        tools.depth,
        tools.normal,
        tools.along,
        tools.around,
        torch.where(nearer, tools.label, 0),
        torch.where(nearer, tools.part, 0),
        tools.material,
        tools.solid,
    )


def _unshadowed(tools: ToolHits, depth: Tensor, scenes: Scenes, cameras: Cameras) -> Tensor:
    """(N, T, H, W): light that passes the tools, found where the first lamp would see them.

    The silhouette is moved by the parallax between camera and lamp at the tools' mean distance,
    and softened as by a lamp of some size.
    """
    height, width = depth.shape[2:]
    metal = tools.label > 0
    if not bool(metal.any()):
        return torch.ones_like(depth)
    share = metal.float().flatten(2)
    near = torch.where(metal, 1 / tools.depth, 0.0).flatten(2).sum(-1)
    near = (near / share.sum(-1).clamp(min=1))[..., None, None]
    gap = (near - 1 / depth).clamp_(min=0)
    lamp = scenes.lamps.position[:, 0]
    focal = cameras.intrinsics[:, :, 0, 0]
    x = torch.linspace(-1, 1, width, device=depth.device)
    y = torch.linspace(-1, 1, height, device=depth.device)[:, None]
    across = x + gap * (lamp[:, 0, None] * focal * 2 / width)[..., None, None]
    down = y + gap * (lamp[:, 1, None] * focal * 2 / height)[..., None, None]
    soft = avg_pool2d(metal.float(), 5, 1, 2)
    grid = torch.stack([across, down], -1).flatten(0, 1)
    cover = grid_sample(soft.flatten(0, 1)[:, None], grid, align_corners=True)
    cover = cover.reshape(depth.shape) * ~metal
    return 1 - scenes.shadow[:, None, None, None] * cover
