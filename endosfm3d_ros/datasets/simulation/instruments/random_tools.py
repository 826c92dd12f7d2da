"""Random instruments in front of random tissue: often close and bright, from every side."""

from __future__ import annotations

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.relief import Relief
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.instruments.assemblies import KINDS, Tools

MOST = 4
HOW_MANY = (0.28, 0.28, 0.30, 0.10, 0.04)  # shares of scenes with 0, 1, .. tools


def random_tools(dice: Dice, relief: Relief, frames: int) -> Tools:
    """Up to four tools per scene, moving between frames.

    Args:
        dice: source of all choices.
        relief: the tissue that the tips are in front of.
        frames: T.
    """
    count = len(relief.extent)
    shape = (count, MOST)
    present = torch.arange(MOST, device=dice.device) < dice.pick(HOW_MANY, count, 1)
    kind = torch.where(present, dice.pick((1.0,) * len(KINDS), *shape), -1)
    scale = dice.log_uniform(0.8, 1.2, *shape) * dice.log_uniform(0.8, 1.2, count, 1)
    tip, depth = _tips(dice, relief, shape)
    pose = _facing(dice, tip)
    return Tools(
        kind,
        _moving(dice, pose, depth, frames),
        bend=(0.45 * dice.normal(*shape))[:, None].expand(-1, frames, -1),
        opening=dice.uniform(0.0, 0.55, *shape)[:, None] + 0.04 * dice.normal(count, frames, MOST),
        scale=scale,
    )


def _tips(dice: Dice, relief: Relief, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(N, I, 3) wrists in the world and (N, I) their depths, before the tissue."""
    spread = torch.where(dice.chance(0.2, *shape, 1), 1.25, 0.75)
    tangent = dice.uniform(-1, 1, *shape, 2) * spread * relief.extent[:, None]
    ground = relief.lookup(relief.inverse_depth, tangent[..., :1, None], tangent[..., 1:, None])
    ground = 1 / ground[:, 0, :, 0, 0]
    share = torch.where(
        dice.chance(0.45, *shape), dice.uniform(0.35, 0.75, *shape), dice.uniform(0.7, 0.96, *shape)
    )
    widest = 0.014 / relief.extent[:, :1]  # metres: a shaft then fills a third of the picture
    depth = torch.maximum(ground * share, torch.minimum(widest, 0.95 * ground))
    return torch.cat([tangent * depth[..., None], depth[..., None]], -1), depth


def _facing(dice: Dice, tip: Tensor) -> Tensor:
    """(N, I, 4, 4): shafts lead back to the picture's rim and mostly to the camera's side."""
    shape = tip.shape[:2]
    outward = torch.atan2(tip[..., 1], tip[..., 0]) + 0.7 * dice.normal(*shape)
    turn = torch.where(dice.chance(0.75, *shape), outward, dice.uniform(0, 6.2832, *shape))
    rise = dice.uniform(0.05, 1.1, *shape)
    back = torch.stack([turn.cos() * rise.cos(), turn.sin() * rise.cos(), -rise.sin()], -1)
    z = -back
    roll = torch.nn.functional.normalize(dice.normal(*shape, 3), dim=-1)
    x = torch.nn.functional.normalize(torch.linalg.cross(roll, z), dim=-1)
    pose = torch.zeros(*shape, 4, 4, device=tip.device)
    pose[..., :3, 0], pose[..., :3, 1], pose[..., :3, 2] = x, torch.linalg.cross(z, x), z
    pose[..., :3, 3], pose[..., 3, 3] = tip, 1
    return pose


def _moving(dice: Dice, pose: Tensor, depth: Tensor, frames: int) -> Tensor:
    """(N, T, I, 4, 4): an even motion of some millimetres and degrees per frame."""
    shape = depth.shape
    time = torch.arange(frames, device=depth.device, dtype=torch.float32)[:, None, None, None]
    speed = dice.log_uniform(0.002, 0.05, *shape, 1) * depth[..., None]
    velocity = speed * torch.nn.functional.normalize(dice.normal(*shape, 3), dim=-1)
    spin = 0.02 * dice.normal(*shape, 3)
    generator = torch.zeros(*shape, 4, 4, device=depth.device)
    generator[..., 2, 1], generator[..., 1, 2] = spin[..., 0], -spin[..., 0]
    generator[..., 0, 2], generator[..., 2, 0] = spin[..., 1], -spin[..., 1]
    generator[..., 1, 0], generator[..., 0, 1] = spin[..., 2], -spin[..., 2]
    poses = pose[:, None] @ torch.linalg.matrix_exp(generator[:, None] * time)
    poses[..., :3, 3] += velocity[:, None] * time[..., 0]
    return poses
