"""Organs, bowel, vessels and ligaments: rounded segments that lie on the ground of a relief."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from endosfm3d_ros.datasets.simulation import tiles
from endosfm3d_ros.datasets.simulation.anatomy.ranges import Anatomy
from endosfm3d_ros.datasets.simulation.dice import Dice

ORGANS = 9
CHAINS = (7, 7, 5)  # segments of two bowel-like tubes and of one vessel or ligament
GROUPS = 1 + ORGANS + len(CHAINS)  # with the ground


@dataclass(frozen=True)
class Lobes:
    """K rounded segments for each scene, in units of the half width of the view."""

    start: Tensor  # (N, K, 2)
    end: Tensor  # (N, K, 2)
    radii: Tensor  # (N, K, 2) at the two ends
    thickness: Tensor  # (N, K) of the dome, relative to a half sphere
    lift: Tensor  # (N, K) how far the rim floats towards the camera, share of the depth
    edge: Tensor  # (N, K) exponent of the profile: 0.5 round, 1 flat rim
    group: Tensor  # (K) organ that the segment belongs to
    valid: Tensor  # (N, K)


def random_lobes(dice: Dice, anatomy: Anatomy, count: int) -> Lobes:
    """Single organs, then chains that wander like bowel or a vessel."""
    parts = [_organs(dice, anatomy, count)]
    parts += [_chain(dice, anatomy, count, length, thin=i == 2) for i, length in enumerate(CHAINS)]
    group = [torch.arange(ORGANS)]
    group += [torch.full((length,), ORGANS + i) for i, length in enumerate(CHAINS)]
    planes = [torch.cat(plane, 1) for plane in zip(*parts)]
    *shape, valid = planes
    return Lobes(*shape, group=torch.cat(group).to(dice.device) + 1, valid=valid)


def _organs(dice: Dice, anatomy: Anatomy, count: int) -> tuple[Tensor, ...]:
    k = (count, ORGANS)
    start = dice.uniform(-1.15, 1.15, *k, 2)
    radius = dice.log_uniform(0.15, 0.75, *k)
    length = radius * dice.uniform(0.0, 1.2, *k)
    turn = dice.uniform(0, 6.2832, *k)
    end = start + torch.stack([length * turn.cos(), length * turn.sin()], -1)
    taper = dice.uniform(0.6, 1.0, *k)
    lift = dice.uniform(*anatomy.lift, *k) * dice.uniform(0, 1, count, 1)
    packed = dice.uniform(*anatomy.organs, count, 1).pow(1.3)
    valid = dice.uniform(0, 1, *k) < packed
    thickness, edge = dice.uniform(*anatomy.thickness, *k), dice.uniform(0.45, 0.9, *k)
    return start, end, torch.stack([radius, radius * taper], -1), thickness, lift, edge, valid


def _chain(dice: Dice, anatomy: Anatomy, count: int, length: int, thin: bool) -> tuple[Tensor, ...]:
    low, high = (0.012, 0.07) if thin else (0.10, 0.34)
    radius = dice.log_uniform(low, high, count, 1)
    step = radius.clamp(min=0.12) * dice.uniform(0.8, 1.7, count, 1)
    turns = 0.45 * dice.normal(count, length)
    if not thin:
        turns = turns + dice.uniform(-0.5, 0.5, count, 1)
    heading = dice.uniform(0, 6.2832, count, 1) + turns.cumsum(1)
    walk = torch.stack([step * heading.cos(), step * heading.sin()], -1).cumsum(1)
    walk = walk - walk.mean(1, keepdim=True) + dice.uniform(-0.7, 0.7, count, 1, 2)
    start = torch.cat([walk[:, :1] - (walk[:, 1:2] - walk[:, :1]), walk[:, :-1]], 1)
    sizes = radius[..., None] * dice.uniform(0.8, 1.2, count, length + 1, 1)
    radii = torch.cat([sizes[:, :-1], sizes[:, 1:]], -1)
    ones = torch.ones(count, length, device=dice.device)
    lift = ones * dice.uniform(0.0, 0.12, count, 1)
    valid = (ones * dice.chance(anatomy.chains, count, 1)).bool()
    thickness = ones * dice.uniform(*anatomy.thickness, count, 1)
    return start, walk, radii, thickness, lift, 0.5 * ones, valid


def add_lobes(rho: Tensor, warp: Tensor, lobes: Lobes, extent: Tensor) -> tuple[Tensor, Tensor]:
    """Lay the lobes on the ground; the nearest surface wins.

    Args:
        rho: (N, h, w) inverse depth of the ground.
        warp: (N, h, w) noise that makes rims uneven.
        lobes: what to lay.
        extent: (N, 2) largest tangents.

    Returns:
        (N, h, w) inverse depth, and the index of the organ, 0 for the ground.
    """
    count, height, width = rho.shape
    canvas = tiles.Canvas(count, height, width)
    half = (width - 1) / 2
    middle = torch.tensor([half, (height - 1) / 2], device=rho.device)
    start, end = lobes.start * half + middle, lobes.end * half + middle
    radii = lobes.radii * half
    found = tiles.touched(canvas, start, end, 1.35 * radii, lobes.valid)
    rims = _rim_depths(rho, lobes, extent)
    pick = (found.image, found.shape)
    along = (end - start)[pick][..., None, :]
    dx = found.x - start[pick][:, 0, None]
    dy = found.y - start[pick][:, 1, None]
    squared = along.square().sum(-1).clamp(min=1e-6)
    share = ((dx * along[..., 0] + dy * along[..., 1]) / squared).clamp_(0, 1)
    away = torch.hypot(dx - share * along[..., 0], dy - share * along[..., 1])
    first, last = radii[pick].unbind(-1)
    radius = torch.lerp(first[:, None], last[:, None], share)
    wavy = warp.reshape(-1)[found.pixel.clamp(max=warp.numel() - 1)]
    inner = 1 - (away / radius * (1 + 0.12 * wavy)).square_()
    edge = lobes.edge[pick][:, None]
    dome = inner.clamp(min=1e-6).pow(edge)
    size = radius / half * extent[found.image, :1]
    rim = torch.lerp(rims[pick][:, :1], rims[pick][:, 1:], share)
    depth = rim * (1 - lobes.lift[pick][:, None] - size * lobes.thickness[pick][:, None] * dome)
    depth = torch.where(inner > 0, depth.clamp(min=0.2 * rim), torch.inf)
    flat, won = tiles.nearest(canvas, found, depth)
    owner = torch.zeros(canvas.pixels, dtype=torch.long, device=rho.device)
    owner[found.pixel[won]] = lobes.group[found.shape][:, None].expand_as(won)[won]
    nearer = canvas.crop(flat) * rho < 1
    return (
        torch.where(nearer, 1 / canvas.crop(flat), rho),
        torch.where(nearer, canvas.crop(owner), 0),
    )


def _rim_depths(rho: Tensor, lobes: Lobes, extent: Tensor) -> Tensor:
    """(N, K, 2) metres: the ground's depth under both ends, limited to the picture."""
    ends = torch.stack([lobes.start, lobes.end], 2).flatten(1, 2)
    aspect = extent / extent[:, :1]
    grid = (ends / aspect[:, None]).clamp(-0.95, 0.95)[:, None]
    ground = grid_sample(rho[:, None], grid, align_corners=True)
    return 1 / ground.reshape(len(rho), -1, 2)
