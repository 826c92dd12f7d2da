"""Plain 3 x 3 residual convolutions (He et al. 2016) of the small networks that train on a CPU."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 4  # px; side of what the first layer takes as one


def conv_norm(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution and batch norm; the size shrinks by the stride only."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    )


def conv_relu(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """`conv_norm` with a ReLU behind it."""
    return conv_norm(channels_in, channels, stride).append(nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """Two convolutions that add to what they were given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv_relu(channels, channels), conv_norm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        return F.relu(x + self.second(self.first(x)))


class Stem(nn.Module):
    """First layers, on 4 x 4 pixels at a time: large maps of few channels are slow to train."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_relu(3 * BLOCK**2, channels)
        self.block = ResidualBlock(channels)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] to (B, C, H / 4, W / 4)."""
        return self.block(self.conv(F.pixel_unshuffle(4 * (image - 0.5), BLOCK)))


def stage(channels_in: int, channels: int, blocks: int = 1) -> nn.Sequential:
    """Halves the image and adds residual blocks."""
    return nn.Sequential(
        conv_relu(channels_in, channels, stride=2),
        *(ResidualBlock(channels) for _ in range(blocks)),
    )
