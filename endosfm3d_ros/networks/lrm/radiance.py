"""Density and colour at points of a triplane (Hong et al. 2024, section 3.3).

Points lie in [-1, 1]^3; outside, the planes are zero, which is not the same as no density.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 64
COLOR_GAIN, COLOR_OFFSET = 1.002, -0.001  # so that a sigmoid can reach 0 and 1
PLANE_AXES = ((0, 1), (0, 2), (2, 1))  # (u, v) of the three planes: xy, xz, zy


class Radiance(nn.Module):
    """Triplane features of one point to its density and colour."""

    def __init__(self, plane_channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3 * plane_channels, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 4),
        )

    def forward(self, planes: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density (N,) and RGB (N, 3) of (N, 3) points in (3, C, H, W) planes."""
        raw = self.net(plane_features(planes, points))
        return density(raw[:, 0]), torch.sigmoid(raw[:, 1:]) * COLOR_GAIN + COLOR_OFFSET

    def axis_tables(self, planes: Tensor, axis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First layer on a grid, plane by plane, because both steps are linear.

        (n,) coordinates to three (n, n, 64) tables by (x, y), (x, z) and (y, z); at a point they
        add up to the first layer's output. A grid of n^3 points costs 3 n^2 look-ups this way.
        """
        count = len(axis)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)  # [v, u] -> (u, v)
        sampled = _sample(planes, grid.expand(3, count, count, 2))  # (3, C, n, n) by [v, u]
        first = self.net[0]
        xy, xz, zy = (
            features.flatten(1).T @ weight.T
            for features, weight in zip(sampled, first.weight.chunk(3, dim=1))
        )
        xy, xz, zy = (table.unflatten(0, (count, count)) for table in (xy, xz, zy))
        return (xy + first.bias).transpose(0, 1), xz.transpose(0, 1), zy

    def density_of(self, first: Tensor) -> Tensor:
        """(N,) density from (N, 64) outputs of the first layer."""
        hidden = self.net[1:-1](first)
        last = self.net[-1]
        return density(hidden @ last.weight[0] + last.bias[0])


def density(raw: Tensor) -> Tensor:
    """Activation of the network's density output."""
    return F.softplus(raw - 1)


def plane_features(planes: Tensor, points: Tensor) -> Tensor:
    """(N, 3 C) features of (N, 3) points: the three planes one after the other."""
    grid = torch.stack([points[:, axes] for axes in PLANE_AXES])[:, None]  # (3, 1, N, 2)
    return _sample(planes, grid)[:, :, 0].permute(2, 0, 1).flatten(1)


def _sample(planes: Tensor, grid: Tensor) -> Tensor:
    """Bilinear, zero outside, pixel edges at -1 and 1."""
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
