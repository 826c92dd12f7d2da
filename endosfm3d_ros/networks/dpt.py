"""Dense prediction decoder of Depth Anything V2 (Ranftl et al. 2021; Yang et al. 2024).

Four token maps of one resolution become a pyramid of fused maps, low to high resolution, and
one small head turns any level into a map of logits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualUnit(nn.Module):
    """Pre-activation residual: x + conv(relu(conv(relu(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """Adds a finer map to the coarser one below it and enlarges the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lateral = ResidualUnit(channels)
        self.merged = ResidualUnit(channels)
        self.projection = nn.Conv2d(channels, channels, 1)

    def forward(self, lateral: Tensor, coarse: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Both (B, F, h, w), to (B, F, *size). The coarsest level has nothing below it."""
        x = lateral if coarse is None else coarse + self.lateral(lateral)
        x = F.interpolate(self.merged(x), size, mode="bilinear", align_corners=True)
        return self.projection(x)


class Neck(nn.Module):
    """Token maps of four layers to four fused maps."""

    def __init__(self, width: int, channels: tuple[int, ...], fusion_channels: int) -> None:
        super().__init__()
        c0, c1, _, c3 = channels
        self.projections = nn.ModuleList(nn.Conv2d(width, c, 1) for c in channels)
        self.resizes = nn.ModuleList(  # the patch grid times 4, 2, 1 and 1/2
            [
                nn.ConvTranspose2d(c0, c0, 4, stride=4),
                nn.ConvTranspose2d(c1, c1, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(c3, c3, 3, stride=2, padding=1),
            ]
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(c, fusion_channels, 3, padding=1, bias=False) for c in channels
        )
        self.fusions = nn.ModuleList(Fusion(fusion_channels) for _ in channels)

    def forward(self, tokens: list[Tensor], rows: int, columns: int) -> list[Tensor]:
        """4 x (B, 1 + rows * columns, C) to (B, F, h, w) with h = rows x 1, 2, 4, 8."""
        maps = []
        for layer, projection, resize, conv in zip(
            tokens, self.projections, self.resizes, self.convs
        ):
            square = layer[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))  # no class token
            maps.append(conv(resize(projection(square))))  # (B, F, rows x 4, 2, 1, 1/2, ..)
        return self.fuse(maps[::-1])

    def fuse(self, maps: list[Tensor]) -> list[Tensor]:
        """Coarse-to-fine sum of maps given from low to high resolution."""
        sizes = [tuple(finer.shape[-2:]) for finer in maps[1:]]
        finest = maps[-1].shape
        sizes.append((2 * finest[-2], 2 * finest[-1]))
        fused, levels = None, []
        for fusion, lateral, size in zip(self.fusions, maps, sizes):
            fused = fusion(lateral, fused, size)
            levels.append(fused)
        return levels


class Head(nn.Module):
    """One map of logits at any size; the same weights serve the four levels."""

    def __init__(self, fusion_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fusion_channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, 1, 1)

    def forward(self, level: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, F, h, w) to (B, 1, *size) logits."""
        x = F.interpolate(self.conv1(level), size, mode="bilinear", align_corners=True)
        return self.conv3(torch.relu(self.conv2(x)))
