"""Depth network of EndoSfM3D: Depth Anything V2 Small whose head ends in a sigmoid.

Input is RGB in [0, 1] at 256 x 320 without mean or standard deviation: the published weights
were trained that way. The output is a relative inverse depth without units.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from endosfm3d_ros.networks.dinov2 import Dinov2, Dinov2Config
from endosfm3d_ros.networks.dpt import Head, Neck

SCALES = 4


@dataclass(frozen=True)
class DepthNetworkConfig:
    """Depth Anything V2 Small as released (Yang et al. 2024)."""

    backbone: Dinov2Config = field(default_factory=Dinov2Config)
    neck_channels: tuple[int, int, int, int] = (48, 96, 192, 384)
    fusion_channels: int = 64
    head_channels: int = 32


class DepthNetwork(nn.Module):
    """RGB image to sigmoid disparity at four sizes. Holds no adapter; see `networks.dora`."""

    def __init__(self, config: DepthNetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or DepthNetworkConfig()
        width, fusion = self.config.backbone.width, self.config.fusion_channels
        self.backbone = Dinov2(self.config.backbone)
        self.neck = Neck(width, self.config.neck_channels, fusion)
        self.head = Head(fusion, self.config.head_channels)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) RGB in [0, 1] to disparities in (0, 1): (B, 1, H / 2^s, W / 2^s), s = 0..3.

        At 256 x 320 the transformer sees 18 x 22 whole patches, that is 252 x 308 pixels; as
        published, the result is stretched over the full image all the same.
        """
        levels = self.levels(image)  # (B, 64, 18, 22), (36, 44), (72, 88), (144, 176)
        height, width = image.shape[-2:]
        return tuple(
            torch.sigmoid(self.head(level, (height >> scale, width >> scale)))
            for scale, level in enumerate(reversed(levels))
        )

    def logit(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to the (B, 1, H, W) logit of the finest disparity.

        Engines export this: useful depths lie in the low tail of the sigmoid, where half
        precision has no digits left.
        """
        return self.head(self.levels(image)[-1], tuple(image.shape[-2:]))

    def tokens(self, image: Tensor) -> list[Tensor]:
        """4 x (B, 1 + N, 384) normalised tokens after blocks 3, 6, 9 and 12."""
        return self.backbone(image)

    def levels(self, image: Tensor) -> list[Tensor]:
        """4 x (B, 64, h, w) fused maps, low to high resolution."""
        patch = self.config.backbone.patch
        rows, columns = image.shape[-2] // patch, image.shape[-1] // patch
        return self.neck(self.tokens(image), rows, columns)

    def fixed_to(self, height: int, width: int) -> DepthNetwork:
        """A copy for images of one size, whose position embedding is a stored constant.

        The copy raises InputError for images with another number of patches.
        """
        patch = self.config.backbone.patch
        fixed = copy.deepcopy(self)
        fixed.backbone.fix_grid(height // patch, width // patch)
        return fixed


def disparity_to_depth(
    disparity: Tensor, min_depth: float = 0.1, max_depth: float = 150.0
) -> Tensor:
    """Sigmoid output to depth in [min_depth, max_depth] (Godard et al. 2019, section 3.3).

    The default range is that of the published training; its unit is arbitrary.
    """
    return 1.0 / scaled_disparity(disparity, min_depth, max_depth)


def scaled_disparity(disparity: Tensor, min_depth: float = 0.1, max_depth: float = 150.0) -> Tensor:
    """Sigmoid output to inverse depth in [1 / max_depth, 1 / min_depth]."""
    low, high = 1.0 / max_depth, 1.0 / min_depth
    return low + (high - low) * disparity
