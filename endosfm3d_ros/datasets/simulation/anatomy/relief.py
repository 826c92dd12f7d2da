"""The tissue at rest: inverse depth over the viewing directions of a reference frame.

World frame: x right, y down, z forward, origin at the reference centre. A direction is named by
its tangents (a, b) = (x / z, y / z), and the tissue lies at z = 1 / rho(a, b). A plane is linear in
inverse depth, so bilinear interpolation keeps facets flat; steep steps become side walls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad


@dataclass(frozen=True)
class Relief:
    """N scenes."""

    inverse_depth: Tensor  # (N, 1, h, w) 1 / metres
    normals: Tensor  # (N, 3, h, w) unit, towards the reference centre
    open: Tensor  # (N, 1, h, w) 0 deep in a crease .. 1
    organ: Tensor  # (N, 1, h, w) float index of the organ
    extent: Tensor  # (N, 2) largest |a| and |b|

    def lookup(self, maps: Tensor, a: Tensor, b: Tensor, mode: str = "bilinear") -> Tensor:
        """(N, C, T, H, W) values of (N, C, h, w) maps at tangents of (N, T, H, W)."""
        count, frames, height, width = a.shape
        scale = self.extent[:, :, None, None, None]
        grid = torch.stack([a / scale[:, 0], b / scale[:, 1]], -1)
        grid = grid.reshape(count, frames * height, width, 2)
        found = grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=True)
        return found.reshape(count, -1, frames, height, width)


def make_relief(inverse_depth: Tensor, organ: Tensor, extent: Tensor) -> Relief:
    """A relief with its normals and creases.

    Args:
        inverse_depth: (N, h, w) 1 / metres.
        organ: (N, h, w) index of the organ at each direction.
        extent: (N, 2) largest tangents across and down.
    """
    normals = _normals(inverse_depth, extent)
    return Relief(
        inverse_depth[:, None],
        normals,
        _openness(inverse_depth[:, None]),
        organ[:, None].float(),
        extent,
    )


def tangents(extent: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(N, h, w) planes of a and b at the texels of a map."""
    across = torch.linspace(-1, 1, width, device=extent.device)
    down = torch.linspace(-1, 1, height, device=extent.device)
    a = (extent[:, 0, None, None] * across).expand(-1, height, -1)
    b = (extent[:, 1, None, None] * down[:, None]).expand(-1, -1, width)
    return a, b


def _normals(inverse_depth: Tensor, extent: Tensor) -> Tensor:
    """(N, 3, h, w): for z = 1 / rho(a, b) the gradient of rho(x/z, y/z) - 1/z, normalised.

    With rho_a, rho_b the slopes: (rho_a, rho_b, rho - a rho_a - b rho_b) points away from the
    centre's side where rho grows, so its negative faces the camera.
    """
    height, width = inverse_depth.shape[1:]
    a, b = tangents(extent, height, width)
    around = pad(inverse_depth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (width - 1) / (4 * extent[:, 0, None, None])
    down = (height - 1) / (4 * extent[:, 1, None, None])
    slope_a = (around[:, 1:-1, 2:] - around[:, 1:-1, :-2]) * across
    slope_b = (around[:, 2:, 1:-1] - around[:, :-2, 1:-1]) * down
    axis = inverse_depth - a * slope_a - b * slope_b
    normals = torch.stack([slope_a, slope_b, axis], 1)
    return normals * -torch.rsqrt(normals.square().sum(1, keepdim=True))


def _openness(inverse_depth: Tensor) -> Tensor:
    """1 on open ground, towards 0 where the surroundings are nearer to the camera."""
    mean = avg_pool2d(inverse_depth, 5, 1, 2, count_include_pad=False)
    coarse = avg_pool2d(inverse_depth, 4)
    coarse = avg_pool2d(coarse, 5, 1, 2, count_include_pad=False)
    wide = interpolate(coarse, inverse_depth.shape[-2:], mode="bilinear", align_corners=False)
    depth = 1 / inverse_depth
    closed = 4 * (mean * depth - 1).clamp_(0, 0.2) + 2.5 * (wide * depth - 1).clamp_(0, 0.4)
    return closed.neg_().exp_()
