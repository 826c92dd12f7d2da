"""DINOv2 with register tokens, as the image encoder of the reconstruction model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.dinov2 import Dinov2, Dinov2Config

REGISTERS = 4  # Darcet et al. 2024


class RegisterDinov2(Dinov2):
    """Image to the normalised class and patch tokens; the registers are dropped again."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, config.width))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] to (B, 1 + N, C); no mean or deviation is taken off."""
        patches = self.patches(image)  # (B, C, rows, columns)
        rows, columns = patches.shape[-2:]
        of_class, of_patches = self.positions(rows, columns).split([1, rows * columns], dim=1)
        batch = image.shape[0]
        tokens = torch.cat(
            [
                (self.class_token + of_class).expand(batch, -1, -1),
                self.register_tokens.expand(batch, -1, -1),
                patches.flatten(2).transpose(1, 2) + of_patches,
            ],
            dim=1,
        )
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return torch.cat([tokens[:, :1], tokens[:, 1 + REGISTERS :]], dim=1)

    def positions(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows * columns, C) position embedding: bicubic by size, with antialiasing.

        The release without registers, which the depth network uses, has no antialiasing.
        """
        if (rows, columns) == self.grid:
            return self.position_embedding
        of_class, of_patches = self.position_embedding.split([1, self.grid[0] * self.grid[1]], 1)
        square = of_patches.transpose(1, 2).unflatten(2, self.grid)
        resized = F.interpolate(
            square, (rows, columns), mode="bicubic", align_corners=False, antialias=True
        )
        return torch.cat([of_class, resized.flatten(2).transpose(1, 2)], dim=1)
