"""ResNet-18 (He et al. 2016) for a pair of frames: six input channels, five feature maps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 128, 256, 512)  # channels after layer1..layer4


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = (
            nn.Identity()
            if stride == 1 and channels_in == channels
            else nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) to (B, channels, h / stride, w / stride)."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.downsample(x))


class ResNet18(nn.Module):
    """Feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input, named as in torchvision."""

    def __init__(self, channels_in: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for number, (before, channels) in enumerate(zip((64, *WIDTHS), WIDTHS), start=1):
            stride = 1 if number == 1 else 2
            blocks = BasicBlock(before, channels, stride), BasicBlock(channels, channels, 1)
            setattr(self, f"layer{number}", nn.Sequential(*blocks))

    def forward(self, image: Tensor, after_layer: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        """(B, 6, H, W) to 5 feature maps; `after_layer(i, x)` replaces the output of layer i + 1.

        At 256 x 320: (64, 128, 160), (64, 64, 80), (128, 32, 40), (256, 16, 20), (512, 8, 10).
        """
        features = [torch.relu(self.bn1(self.conv1(image)))]
        x = F.max_pool2d(features[0], 3, stride=2, padding=1)
        for index, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4)):
            x = after_layer(index, layer(x))
            features.append(x)
        return features
