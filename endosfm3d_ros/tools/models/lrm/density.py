"""The density of a triplane on a grid: coarse everywhere, fine only where a surface may pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from endosfm3d_ros.networks.lrm import Radiance

BATCH = 1 << 17  # points at a time: 33 MB of features


@dataclass(frozen=True)
class VolumeConfig:
    """Grid on [-1, 1]^3; the published extraction uses 384^3 points, dense."""

    coarse: int = 64  # points along an axis
    refinement: int = 2  # fine steps per coarse step: 127 points along an axis
    threshold: float = 3.0  # density of the surface, OpenLRM


def dense_density(radiance: Radiance, planes: Tensor, axis: Tensor) -> Tensor:
    """(n, n, n) density by [x, y, z] at all combinations of (n,) coordinates."""
    xy, xz, yz = radiance.axis_tables(planes, axis)
    slabs = [
        radiance.density_of((xy[i, :, None] + xz[i, None] + yz).flatten(0, 1))
        for i in range(len(axis))
    ]
    return torch.stack(slabs).unflatten(1, (len(axis), len(axis)))


@torch.inference_mode()
def density_volume(radiance: Radiance, planes: Tensor, config: VolumeConfig) -> np.ndarray:
    """(N, N, N) float32 density by [x, y, z], exact near the threshold, interpolated elsewhere.

    Args:
        radiance: reads the planes.
        planes: (3, C, R, R).
        config: the grid.
    """
    coarse = dense_density(radiance, planes, torch.linspace(-1, 1, config.coarse))
    count = config.refinement * (config.coarse - 1) + 1
    fine = F.interpolate(
        coarse[None, None], size=(count,) * 3, mode="trilinear", align_corners=True
    )[0, 0]
    if config.refinement == 1:
        return fine.numpy()
    near = torch.nonzero(points_near_surface(coarse > config.threshold, config.refinement))
    xy, xz, yz = radiance.axis_tables(planes, torch.linspace(-1, 1, count))
    for part in near.split(BATCH):
        i, j, k = part.T
        fine[i, j, k] = radiance.density_of(xy[i, j] + xz[i, k] + yz[j, k])
    return fine.numpy()


def points_near_surface(inside: Tensor, refinement: int) -> Tensor:
    """(N, N, N) bool fine points in, or next to, coarse cells with corners on both sides.

    Args:
        inside: (n, n, n) bool at coarse points.
        refinement: fine steps per coarse step.
    """
    values = inside.float()[None, None]
    highest, lowest = F.max_pool3d(values, 2, 1), -F.max_pool3d(-values, 2, 1)
    cells = F.max_pool3d((highest > lowest).float(), 3, 1, padding=1)  # and their neighbours
    fine = cells
    for axis in (2, 3, 4):
        fine = fine.repeat_interleave(refinement, dim=axis)
    corners = F.max_pool3d(F.pad(fine, (1,) * 6), 2, 1)  # a point belongs to the cells around it
    return corners[0, 0] > 0
