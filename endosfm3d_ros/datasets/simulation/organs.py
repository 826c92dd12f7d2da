"""Random anatomy: a cavity, dome or lumen with organs, bowel, vessels, folds and fat on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from endosfm3d_ros.datasets.simulation import tiles
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.noise import relief_bank
from endosfm3d_ros.datasets.simulation.relief import Relief, make_relief, tangents

ORGANS = 9
CHAINS = (7, 7, 5)  # segments of two bowel-like tubes and of one vessel or ligament
SLOTS = ORGANS + sum(CHAINS)
GROUPS = ORGANS + len(CHAINS) + 2  # with the ground and one draped layer
LAYER = GROUPS - 1


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


def random_relief(dice: Dice, distance: Tensor, extent: Tensor, height: int, width: int) -> Relief:
    """Anatomy at about the given distances.

    Args:
        dice: source of all choices.
        distance: (N) metres.
        extent: (N, 2) largest tangents.
        height: texels of the map.
        width: texels of the map.
    """
    count = len(distance)
    a, b = tangents(extent, height, width)
    unit = extent[:, :1, None]
    qa, qb = a / unit, b / unit
    broad, folds = _noises(dice, qa, qb, 0.25, 0.8), _noises(dice, qa, qb, 0.6, 1.8)
    rho = _ground(dice, qa, qb)
    rho = rho * (dice.uniform(0.02, 0.16, count, 1, 1) * _mixed(dice, broad)).exp_()
    rho, organ = _add_lobes(rho, broad[:, 0], _lobes(dice, count), extent)
    rho, organ = _add_layer(dice, rho, organ, torch.lerp(broad[:, 1], folds[:, 0], 0.4))
    fine = _mixed(dice, _noises(dice, qa, qb, 1.5, 6.0))
    rough = dice.log_uniform(0.0003, 0.010, 2, count, GROUPS)
    rough[0] *= 3
    coarse, small = (amount.gather(1, organ.flatten(1)).reshape(rho.shape) for amount in rough)
    rho = rho * (coarse * _mixed(dice, folds) + small * fine).exp_()
    middle = rho.log().mean((1, 2), keepdim=True).exp()
    return make_relief(rho / (middle * distance[:, None, None]), organ, extent)


def _noises(dice: Dice, qa: Tensor, qb: Tensor, low: float, high: float) -> Tensor:
    """(N, 4, h, w) of the relief bank, turned, shifted and at a random frequency."""
    count = len(qa)
    turn, frequency = dice.uniform(0, 6.2832, count, 1, 1), dice.log_uniform(low, high, count, 1, 1)
    across, down = frequency * turn.cos(), frequency * turn.sin()
    squeeze = dice.log_uniform(0.5, 2.0, count, 1, 1)
    shift = dice.uniform(-1, 1, 2, count, 1, 1)
    u = squeeze * (across * qa - down * qb) * 0.5 + shift[0]
    v = (down * qa + across * qb) * 0.5 / squeeze + shift[1]
    grid = torch.stack([u.add_(1).remainder_(2).sub_(1), v.add_(1).remainder_(2).sub_(1)], -1)
    bank = relief_bank(str(dice.device)).expand(count, -1, -1, -1)
    return grid_sample(bank, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _mixed(dice: Dice, noises: Tensor) -> Tensor:
    """(N, h, w) random mixture of the kinds of noise; deviation about one."""
    share = dice.uniform(0, 1, len(noises), 4, 1, 1).pow(3)
    return (noises * (share / share.square().sum(1, keepdim=True).sqrt())).sum(1)


def _ground(dice: Dice, qa: Tensor, qb: Tensor) -> Tensor:
    """(N, h, w) relative inverse depth: tilted plane, dome, cavity or lumen."""
    count = len(qa)
    tilt = dice.uniform(-0.45, 0.45, count, 2, 1, 1)
    tilt[:, 1] += 0.15  # the upper part of a picture is farther, more often than not
    plane = (1 + tilt[:, 0] * qa + tilt[:, 1] * qb).clamp(0.4, 2.5)
    middle = 0.6 * dice.normal(count, 2, 1, 1)
    away = (qa - middle[:, 0]).square() + (qb - middle[:, 1]).square()
    bowl = (dice.uniform(-0.45, 0.55, count, 1, 1) * away).clamp(-1.2, 1.2).exp()
    lumen = (away + 0.02).pow(dice.uniform(0.2, 0.5, count, 1, 1)) * 1.6
    tubular = dice.chance(0.18, count, 1, 1)
    return torch.where(tubular, lumen.clamp(0.25, 3.0), plane * bowl)


def _lobes(dice: Dice, count: int) -> Lobes:
    """Single organs, then chains that wander like bowel or a vessel."""
    parts = [_organs(dice, count)]
    parts += [_chain(dice, count, length, thin=i == 2) for i, length in enumerate(CHAINS)]
    group = [torch.arange(ORGANS)]
    group += [torch.full((length,), ORGANS + i) for i, length in enumerate(CHAINS)]
    planes = [torch.cat(plane, 1) for plane in zip(*parts)]
    *shape, valid = planes
    return Lobes(*shape, group=torch.cat(group).to(dice.device) + 1, valid=valid)


def _organs(dice: Dice, count: int) -> tuple[Tensor, ...]:
    k = (count, ORGANS)
    start = dice.uniform(-1.15, 1.15, *k, 2)
    radius = dice.log_uniform(0.15, 0.75, *k)
    length = radius * dice.uniform(0.0, 1.2, *k)
    turn = dice.uniform(0, 6.2832, *k)
    end = start + torch.stack([length * turn.cos(), length * turn.sin()], -1)
    taper = dice.uniform(0.6, 1.0, *k)
    lift = dice.uniform(-0.08, 0.30, *k) * dice.uniform(0, 1, count, 1)
    packed = dice.uniform(0, 1, count, 1).pow(1.3)
    valid = dice.uniform(0, 1, *k) < packed
    thickness, edge = dice.uniform(0.25, 1.1, *k), dice.uniform(0.45, 0.9, *k)
    return start, end, torch.stack([radius, radius * taper], -1), thickness, lift, edge, valid


def _chain(dice: Dice, count: int, length: int, thin: bool) -> tuple[Tensor, ...]:
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
    valid = (ones * dice.chance(0.4, count, 1)).bool()
    return start, walk, radii, ones * dice.uniform(0.6, 1.0, count, 1), lift, 0.5 * ones, valid


def _add_lobes(rho: Tensor, warp: Tensor, lobes: Lobes, extent: Tensor) -> tuple[Tensor, Tensor]:
    """Lay the lobes on the ground; the nearest surface wins."""
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


def _add_layer(dice: Dice, rho: Tensor, organ: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """A draped sheet or flap where a noise is high, with a rounded rim."""
    count = len(rho)
    threshold = dice.uniform(0.1, 1.2, count, 1, 1)
    inflated = (noise - threshold).clamp(min=0).sqrt()
    height = (
        dice.uniform(0.02, 0.16, count, 1, 1) + dice.uniform(0.02, 0.16, count, 1, 1) * inflated
    )
    present = dice.chance(0.35, count, 1, 1) & (inflated > 0)
    over_all = dice.chance(0.5, count, 1, 1) | (organ == 0)
    there = present & over_all
    return torch.where(there, rho * (1 + height), rho), torch.where(there, LAYER, organ)
