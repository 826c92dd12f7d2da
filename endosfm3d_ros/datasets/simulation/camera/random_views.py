"""Random cameras over random tissue motion."""

from __future__ import annotations

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Deformation
from endosfm3d_ros.datasets.simulation.anatomy.relief import Relief
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.dice import Dice

BUMPS = 2


def random_cameras(
    dice: Dice, distance: Tensor, frames: int, height: int, width: int
) -> tuple[Cameras, Tensor]:
    """Cameras that start at the world's origin, and (N) half widths of the view as tangents.

    Args:
        dice: source of all choices.
        distance: (N) metres to the tissue, which bounds the motion.
        frames: T.
        height: pixels.
        width: pixels.
    """
    count = len(distance)
    half = (dice.uniform(25, 90, count) * (torch.pi / 360)).tan()
    focal = width / (2 * half)
    aspect, centre = dice.log_uniform(0.985, 1.015, count), 0.03 * dice.normal(count, 2)
    K = torch.zeros(count, 3, 3, device=dice.device)
    K[:, 0, 0], K[:, 1, 1], K[:, 2, 2] = focal, focal * aspect, 1
    K[:, 0, 2] = (width - 1) / 2 + centre[:, 0] * width
    K[:, 1, 2] = (height - 1) / 2 + centre[:, 1] * height
    intrinsics = K[:, None].expand(-1, frames, -1, -1)
    return Cameras(intrinsics, _path(dice, distance, half, frames), height, width), half


def _path(dice: Dice, distance: Tensor, half: Tensor, frames: int) -> Tensor:
    """(N, T, 4, 4): nearly even motion; one in six cameras stands still.

    Sizes go from a slow camera at 30 Hz to a quick one at 5 Hz: tissue moves by up to a sixth of
    the image from either cause, which at 60 degrees of view is 10 degrees.
    """
    count = len(distance)
    moving = (~dice.chance(0.17, count, 1)).float()
    size = dice.log_uniform(0.01, 0.3, count, 1) * (distance * half)[:, None] * moving
    heading = torch.nn.functional.normalize(dice.normal(count, 3), dim=1)
    turn = dice.log_uniform(0.005, 0.12, count, 1) * half[:, None] * dice.normal(count, 3) * moving
    time = torch.arange(frames, device=dice.device, dtype=torch.float32)[:, None]
    wander = 1 + 0.15 * dice.normal(count, frames, 3)
    generator = torch.zeros(count, frames, 4, 4, device=dice.device)
    rotation = turn[:, None] * time * wander
    generator[..., 2, 1], generator[..., 1, 2] = rotation[..., 0], -rotation[..., 0]
    generator[..., 0, 2], generator[..., 2, 0] = rotation[..., 1], -rotation[..., 1]
    generator[..., 1, 0], generator[..., 0, 1] = rotation[..., 2], -rotation[..., 2]
    poses = torch.linalg.matrix_exp(generator)
    poses[..., :3, 3] = (size * heading)[:, None] * time * wander
    return poses


def random_deformation(dice: Dice, relief: Relief, distance: Tensor, frames: int) -> Deformation:
    """Bumps that swell between consecutive frames; half of the scenes are still."""
    count = len(distance)
    tangent = dice.uniform(-0.8, 0.8, count, BUMPS, 2) * relief.extent[:, None]
    depth = 1 / relief.lookup(relief.inverse_depth, tangent[..., :1, None], tangent[..., 1:, None])
    depth = depth[:, 0, :, 0]
    centre = torch.cat([tangent * depth, depth], -1)
    radius = distance[:, None] * dice.uniform(0.15, 0.6, count, BUMPS)
    heading = torch.nn.functional.normalize(dice.normal(count, BUMPS, 3), dim=-1)
    size = radius * dice.uniform(0.0, 0.12, count, BUMPS) * dice.chance(0.5, count, 1)
    time = torch.arange(frames, device=dice.device, dtype=torch.float32)[:, None]
    return Deformation(centre, heading * size[..., None], radius, time.expand(count, -1, BUMPS))
