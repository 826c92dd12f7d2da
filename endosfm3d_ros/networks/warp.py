"""Differentiable warps between two views, as the published training computes them (torch, batched).

Pixel centres lie at integer coordinates. Flow is (y, x) in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PROJECTION_EPS = 1e-7  # keeps the division by z finite (Godard et al. 2019)
VISIBLE_WEIGHT = 0.95  # splat weight above which a pixel counts as seen, AF-SfMLearner


def pixel_grid(like: Tensor) -> Tensor:
    """(2, H, W) coordinates (x, y) of every pixel of a (..., H, W) tensor."""
    height, width = like.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([x, y])


def camera_points(depth: Tensor, K_inv: Tensor) -> Tensor:
    """(B, 1, H, W) depth and (B, 3, 3) to (B, 3, H, W) points in the camera frame."""
    rays = F.pad(pixel_grid(depth), (0, 0, 0, 0, 0, 1), value=1.0)  # (3, H, W): x, y, 1
    return depth * torch.einsum("bij,jhw->bihw", K_inv, rays)


def projected(points: Tensor, K: Tensor, T: Tensor) -> Tensor:
    """(B, 3, H, W) points, moved by (B, 4, 4), to (B, 2, H, W) pixel coordinates (x, y)."""
    P = K @ T[:, :3]  # (B, 3, 4)
    moved = torch.einsum("bij,bjhw->bihw", P[:, :, :3], points) + P[:, :, 3, None, None]
    return moved[:, :2] / (moved[:, 2:] + PROJECTION_EPS)


def sampling_grid(pixels: Tensor) -> Tensor:
    """(B, 2, H, W) pixel coordinates (x, y) to (B, H, W, 2) with the outer pixels at -1 and 1."""
    height, width = pixels.shape[-2:]
    largest = pixels.new_tensor([width - 1, height - 1])
    return 2 * (pixels.permute(0, 2, 3, 1) / largest - 0.5)


def warp_by_depth(source: Tensor, depth: Tensor, K: Tensor, T: Tensor) -> tuple[Tensor, Tensor]:
    """Source image seen from the target, and the sampling grid (B, H, W, 2).

    `source` (B, 3, H, W), `depth` (B, 1, H, W) of the target, `K` (B, 3, 3), and `T` (B, 4, 4)
    with X_source = T X_target.
    """
    points = camera_points(depth, torch.linalg.inv(K))
    grid = sampling_grid(projected(points, K, T))
    return F.grid_sample(source, grid, padding_mode="border", align_corners=True), grid


def warp_by_flow(source: Tensor, flow: Tensor) -> Tensor:
    """(B, C, H, W) source sampled at x + flow, flow (B, 2, H, W) as (y, x).

    As released: the grid puts the outer pixel centres at -1 and 1, while the sampling takes
    these for the image border. The result is shrunk by (size - 1) / size towards the centre.
    """
    grid = sampling_grid(pixel_grid(flow) + flow.flip(1))
    return F.grid_sample(source, grid, padding_mode="border", align_corners=False)


def splat_weight(flow: Tensor) -> Tensor:
    """(B, 1, H, W) bilinear weight that each pixel receives when all move by (B, 2, H, W) flow."""
    batch, _, height, width = flow.shape
    target = pixel_grid(flow) + flow.flip(1)  # (B, 2, H, W): x, y
    corner = target.floor()
    received = flow.new_zeros(batch, height * width)
    for offset in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x, y = (corner + corner.new_tensor(offset)[:, None, None]).unbind(1)  # (B, H, W)
        weight = (1 - (target[:, 0] - x).abs()) * (1 - (target[:, 1] - y).abs())
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        index = index.nan_to_num().long()  # a flow that is no number must not write out of bounds
        received.scatter_add_(1, index.flatten(1), (weight * inside).flatten(1))
    return received.unflatten(1, (1, height, width))


def visible_mask(reverse_flow: Tensor) -> Tensor:
    """(B, 1, H, W) 0 or 1: whether the other frame's pixels, moved by their flow, cover it."""
    return (splat_weight(reverse_flow) > VISIBLE_WEIGHT).to(reverse_flow.dtype)
