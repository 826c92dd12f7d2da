"""Mirrored and cut-out images; their truth goes through the same functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def coins(count: int, generator: torch.Generator) -> list[bool]:
    """So many throws."""
    return (torch.rand(count, generator=generator, device=generator.device) < 0.5).tolist()


def flipped(x: Tensor, rows: bool, columns: bool) -> Tensor:
    """(..., H, W) mirrored up-down, left-right, both or not."""
    axes = [axis for axis, wanted in ((-2, rows), (-1, columns)) if wanted]
    return x.flip(axes) if axes else x


def random_windows(batch: int, smallest: float, generator: torch.Generator) -> Tensor:
    """(B, 2, 3) maps from the whole image to a window of it, sides drawn one by one.

    Args:
        batch: how many.
        smallest: share of a side that a window has at least.
        generator: source of sizes and places.
    """
    device = generator.device
    share = 1 - (1 - smallest) * torch.rand((batch, 2), generator=generator, device=device)
    corner = torch.rand((batch, 2), generator=generator, device=device)
    return windows(corner, share)


def windows(corner: Tensor, share: Tensor) -> Tensor:
    """(B, 2, 3) maps of windows in coordinates from -1 to 1.

    Args:
        corner: (B, 2) (x, y) of the first corner as shares of the free room.
        share: (B, 2) width and height as shares of the image.
    """
    return torch.cat([torch.diag_embed(share), ((1 - share) * (2 * corner - 1))[..., None]], dim=2)


def enlarged(x: Tensor, window: Tensor, mode: str) -> Tensor:
    """Each (B, C, H, W) map's window at the size of the map; mode bilinear or nearest."""
    grid = F.affine_grid(window, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)
