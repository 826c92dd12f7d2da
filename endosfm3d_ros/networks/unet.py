"""A small residual U-Net (Ronneberger et al. 2015, He et al. 2016) for maps of the image's size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.residual import BLOCK, Stem, conv_relu, stage


@dataclass(frozen=True)
class UNetConfig:
    """Widths; 2.2 M parameters, 0.3 billion multiplications per image of 128 x 160."""

    channels: tuple[int, ...] = (48, 96, 160, 192)  # at 1/4, 1/8, ..


class UNet(nn.Module):
    """RGB image to maps of its size.

    Weights belong to the image size that they were trained with: trained at 128 x 160, such a
    network gets worse with every larger image.

    Args:
        maps: how many.
        config: widths.
    """

    def __init__(self, maps: int, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or UNetConfig()
        channels = self.config.channels
        pairs = list(pairwise(channels))
        self.stem = Stem(channels[0])
        self.stages = nn.ModuleList(stage(fine, coarse) for fine, coarse in pairs)
        self.laterals = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.merges = nn.ModuleList(conv_relu(fine, fine) for fine, _ in pairs)
        self.head = nn.Conv2d(channels[0], BLOCK**2 * maps, 3, padding=1)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], sides multiples of 32, to (B, maps, H, W)."""
        return F.pixel_shuffle(self.head(self.features(image)), BLOCK)

    def features(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 48, H / 4, W / 4)."""
        skips = [self.stem(image)]
        for level in self.stages:
            skips.append(level(skips[-1]))
        return self.merged(skips)

    def merged(self, skips: list[Tensor]) -> Tensor:
        """Features of all levels, fine to coarse, in one map of the first one's size."""
        *skips, x = skips
        for lateral, merge in zip(reversed(self.laterals), reversed(self.merges)):
            x = F.interpolate(lateral(x), scale_factor=2.0, mode="nearest")
            x = merge(x + skips.pop())
        return x
