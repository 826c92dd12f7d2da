"""Random tissue at rest: ground, organs on it, a draped sheet, folds and grains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from endosfm3d_ros.datasets.simulation.anatomy.lobes import GROUPS, add_lobes, random_lobes
from endosfm3d_ros.datasets.simulation.anatomy.noise import relief_bank
from endosfm3d_ros.datasets.simulation.anatomy.ranges import Anatomy
from endosfm3d_ros.datasets.simulation.anatomy.relief import Relief, make_relief, tangents
from endosfm3d_ros.datasets.simulation.dice import Dice

LAYER = GROUPS
WOUND = GROUPS + 1
MATERIALS = GROUPS + 2  # organs with the ground, a sheet, and the walls of a cut


def random_relief(
    dice: Dice, anatomy: Anatomy, distance: Tensor, extent: Tensor, height: int, width: int
) -> Relief:
    """Anatomy at about the given distances.

    Args:
        dice: source of all choices.
        anatomy: ranges of shape.
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
    rho = _ground(dice, anatomy, qa, qb)
    rho = rho * (dice.uniform(*anatomy.hills, count, 1, 1) * _mixed(dice, broad)).exp_()
    rho, organ = add_lobes(rho, broad[:, 0], random_lobes(dice, anatomy, count), extent)
    rho, organ = _add_layer(dice, anatomy, rho, organ, torch.lerp(broad[:, 1], folds[:, 0], 0.4))
    fine = _mixed(dice, _noises(dice, qa, qb, 1.5, 6.0))
    rough = dice.log_uniform(*anatomy.roughness, 2, count, MATERIALS)
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


def _ground(dice: Dice, anatomy: Anatomy, qa: Tensor, qb: Tensor) -> Tensor:
    """(N, h, w) relative inverse depth: tilted plane, dome, cavity or lumen."""
    count = len(qa)
    tilt = dice.uniform(*anatomy.tilt, count, 2, 1, 1)
    tilt[:, 1] += anatomy.upward
    plane = (1 + tilt[:, 0] * qa + tilt[:, 1] * qb).clamp(0.4, 2.5)
    middle = 0.6 * dice.normal(count, 2, 1, 1)
    away = (qa - middle[:, 0]).square() + (qb - middle[:, 1]).square()
    bowl = (dice.uniform(*anatomy.bowl, count, 1, 1) * away).clamp(-1.2, 1.2).exp()
    lumen = (away + 0.02).pow(dice.uniform(0.2, 0.5, count, 1, 1)) * 1.6
    tubular = dice.chance(anatomy.lumens, count, 1, 1)
    return torch.where(tubular, lumen.clamp(0.25, 3.0), plane * bowl)


def _add_layer(
    dice: Dice, anatomy: Anatomy, rho: Tensor, organ: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """A draped sheet or flap where a noise is high, with a rounded rim."""
    count = len(rho)
    threshold = dice.uniform(0.1, 1.2, count, 1, 1)
    inflated = (noise - threshold).clamp(min=0).sqrt()
    height = (
        dice.uniform(0.02, 0.16, count, 1, 1) + dice.uniform(0.02, 0.16, count, 1, 1) * inflated
    )
    present = dice.chance(anatomy.layers, count, 1, 1) & (inflated > 0)
    over_all = dice.chance(0.5, count, 1, 1) | (organ == 0)
    there = present & over_all
    return torch.where(there, rho * (1 + height), rho), torch.where(there, LAYER, organ)
