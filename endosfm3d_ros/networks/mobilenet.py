"""MobileNetV3-Large (Howard et al. 2019, table 1) as a dilated backbone for segmentation.

Parameters are named as in torchvision, so that ImageNet weights in its layout can be loaded.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

EPSILON, MOMENTUM = 1e-3, 0.01  # of the batch norms; section 6.1


class BlockSpec(NamedTuple):
    """One row of table 1."""

    kernel: int
    expanded: int
    channels: int
    squeeze: bool
    hard_swish: bool
    stride: int
    dilation: int = 1


# The last stage keeps 1/16 of the input and dilates instead (section 6.3.4: output stride 16).
LARGE = (
    BlockSpec(3, 16, 16, False, False, 1),
    BlockSpec(3, 64, 24, False, False, 2),
    BlockSpec(3, 72, 24, False, False, 1),
    BlockSpec(5, 72, 40, True, False, 2),
    BlockSpec(5, 120, 40, True, False, 1),
    BlockSpec(5, 120, 40, True, False, 1),
    BlockSpec(3, 240, 80, False, True, 2),
    BlockSpec(3, 200, 80, False, True, 1),
    BlockSpec(3, 184, 80, False, True, 1),
    BlockSpec(3, 184, 80, False, True, 1),
    BlockSpec(3, 480, 112, True, True, 1),
    BlockSpec(3, 672, 112, True, True, 1),
    BlockSpec(5, 672, 160, True, True, 1, 2),
    BlockSpec(5, 960, 160, True, True, 1, 2),
    BlockSpec(5, 960, 160, True, True, 1, 2),
)
LOW, HIGH = 4, 16  # features after which 1/8 and 1/16 of the input are handed on
LOW_CHANNELS, HIGH_CHANNELS = 40, 960


class SqueezeExcitation(nn.Module):
    """Scales channels by what the whole image says."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x * F.hardsigmoid(self.fc2(F.relu(self.fc1(pooled))))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, weigh the channels, project."""

    def __init__(self, channels_in: int, spec: BlockSpec) -> None:
        super().__init__()
        activation = nn.Hardswish if spec.hard_swish else nn.ReLU
        layers = []
        if spec.expanded != channels_in:
            layers.append(conv_norm(channels_in, spec.expanded, 1, activation=activation))
        layers.append(
            conv_norm(
                spec.expanded,
                spec.expanded,
                spec.kernel,
                stride=spec.stride,
                dilation=spec.dilation,
                groups=spec.expanded,
                activation=activation,
            )
        )
        if spec.squeeze:
            layers.append(SqueezeExcitation(spec.expanded, divisible_by_8(spec.expanded / 4)))
        layers.append(conv_norm(spec.expanded, spec.channels, 1))
        self.block = nn.Sequential(*layers)
        self.shortcut = spec.stride == 1 and channels_in == spec.channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) to (B, channels, h / stride, w / stride)."""
        return x + self.block(x) if self.shortcut else self.block(x)


class MobileNetV3(nn.ModuleDict):
    """The layers up to the last convolution; keys "0" to "16" as in torchvision."""

    def __init__(self) -> None:
        channels = 16
        layers: list[nn.Module] = [conv_norm(3, channels, 3, stride=2, activation=nn.Hardswish)]
        for spec in LARGE:
            layers.append(InvertedResidual(channels, spec))
            channels = spec.channels
        layers.append(conv_norm(channels, HIGH_CHANNELS, 1, activation=nn.Hardswish))
        super().__init__({str(i): layer for i, layer in enumerate(layers)})

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) normalised RGB to (B, 40, H / 8, W / 8) and (B, 960, H / 16, W / 16)."""
        features = {}
        x = image
        for name, layer in self.items():
            x = layer(x)
            features[int(name)] = x
        return features[LOW], features[HIGH]


def conv_norm(
    channels_in: int,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution, batch norm and perhaps an activation; the size shrinks by the stride only."""
    layers = [
        nn.Conv2d(
            channels_in,
            channels,
            kernel,
            stride,
            padding=(kernel - 1) // 2 * dilation,
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(channels, EPSILON, MOMENTUM),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


def divisible_by_8(value: float) -> int:
    """The nearest multiple of 8, but not less than 90 % of the value."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded
