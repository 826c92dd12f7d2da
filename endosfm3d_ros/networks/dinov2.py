"""DINOv2 vision transformer (Oquab et al. 2024) that returns the tokens of several layers.

Shapes: B images, N = rows * columns patches, C channels. Token 0 is the class token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.errors import InputError

LAYER_NORM_EPS = 1e-6  # DINOv2 release


@dataclass(frozen=True)
class Dinov2Config:
    """Size of the transformer; the defaults are ViT-S/14 as released with 518 x 518 pixels."""

    width: int = 384
    heads: int = 6
    layers: int = 12
    mlp_ratio: int = 4
    patch: int = 14  # pixels
    trained_grid: int = 37  # 518 / 14: side of the stored position embedding in patches
    output_layers: tuple[int, ...] = (3, 6, 9, 12)  # counted from 1, Depth Anything V2


class Attention(nn.Module):
    """Multi-head self-attention with separate projections, so each can carry an adapter."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 1 + N, C) to the same shape."""
        query, key, value = (
            projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )  # 3 x (B, heads, 1 + N, C / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.output(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block; each branch is weighted per channel (layer scale)."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        width, hidden = config.width, config.width * config.mlp_ratio
        self.norm1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attention = Attention(width, config.heads)
        self.scale1 = nn.Parameter(torch.ones(width))
        self.norm2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.scale2 = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 1 + N, C) to the same shape."""
        tokens = tokens + self.scale1 * self.attention(self.norm1(tokens))
        return tokens + self.scale2 * self.fc2(F.gelu(self.fc1(self.norm2(tokens))))


class Dinov2(nn.Module):
    """Image to the normalised tokens of `config.output_layers`."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.config = config
        self.grid = (config.trained_grid, config.trained_grid)
        self.fixed_size = False
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.position_embedding = nn.Parameter(
            torch.zeros(1, 1 + config.trained_grid**2, config.width)
        )
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one (B, 1 + N, C) per output layer, N = floor(H / 14) floor(W / 14)."""
        patches = self.patches(image)  # (B, C, rows, columns); the remainder of H, W is unseen
        rows, columns = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)  # (B, N, C)
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        tokens = tokens + self.positions(rows, columns)
        outputs = []
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens)
            if number in self.config.output_layers:
                outputs.append(self.norm(tokens))
        return outputs

    def positions(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows * columns, C) position embedding: bicubic by size, no antialiasing.

        Raises:
            InputError: the network was fixed to another size by `fix_grid`.
        """
        if (rows, columns) == self.grid:
            return self.position_embedding
        if self.fixed_size:
            raise InputError(
                f"image of {rows}x{columns} patches: this network was fixed to "
                f"{self.grid[0]}x{self.grid[1]}"
            )
        of_class, of_patches = self.position_embedding.split([1, self.grid[0] * self.grid[1]], 1)
        square = of_patches.transpose(1, 2).unflatten(2, self.grid)  # (1, C, 37, 37)
        resized = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([of_class, resized.flatten(2).transpose(1, 2)], dim=1)

    def fix_grid(self, rows: int, columns: int) -> None:
        """Store the position embedding of one patch grid, so that export sees a constant."""
        with torch.no_grad():
            self.position_embedding = nn.Parameter(self.positions(rows, columns).clone())
        self.grid, self.fixed_size = (rows, columns), True
