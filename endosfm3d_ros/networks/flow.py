"""Training-only networks of EndoSfM3D: optical flow and appearance flow between two frames.

Both are U-Nets on a ResNet-18 with squeeze-and-excitation (Hu et al. 2018), after AF-SfMLearner
(Shao et al. 2022): the first moves pixels, the second adds the change of brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.resnet import WIDTHS, ResNet18

REDUCTION = 16  # squeeze-and-excitation bottleneck
SKIPS = (64, *WIDTHS)  # channels of the five encoder maps
DECODER = (16, 32, 64, 128, 256)  # channels at 1/1, 1/2, 1/4, 1/8, 1/16
SCALES = 4


@dataclass(frozen=True)
class FlowNetworkConfig:
    """What a U-Net predicts per pixel, at four sizes."""

    channels: int
    bounded: bool  # tanh at the end and mirrored borders, otherwise linear with zero borders


OPTICAL_FLOW = FlowNetworkConfig(channels=2, bounded=False)  # (y, x) in pixels
APPEARANCE_FLOW = FlowNetworkConfig(channels=3, bounded=True)  # added to RGB in [0, 1]


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: one factor in (0, 1) per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // REDUCTION)
        self.excite = nn.Linear(channels // REDUCTION, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        factor = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return x * factor[:, :, None, None]


class FlowEncoder(nn.Module):
    """Pair of frames to five feature maps, with channel attention after each ResNet layer."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18(channels_in=6)
        self.attentions = nn.ModuleList(ChannelAttention(channels) for channels in WIDTHS)

    def forward(self, pair: Tensor) -> list[Tensor]:
        """(B, 6, H, W) to maps at 1/2, 1/4, 1/8, 1/16, 1/32."""
        return self.resnet(pair, lambda index, x: self.attentions[index](x))


class FlowDecoder(nn.Module):
    """U-Net decoder (Godard et al. 2019) with one output per scale."""

    def __init__(self, config: FlowNetworkConfig) -> None:
        super().__init__()
        self.bounded = config.bounded
        self.before, self.after = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(5)):  # level i ends at 1 / 2^i of the input
            below = SKIPS[4] if level == 4 else DECODER[level + 1]
            skip = SKIPS[level - 1] if level > 0 else 0
            self.before.append(self.conv(below, DECODER[level], "reflect"))
            self.after.append(self.conv(DECODER[level] + skip, DECODER[level], "reflect"))
        border = "reflect" if config.bounded else "zeros"
        self.heads = nn.ModuleList(
            self.conv(DECODER[scale], config.channels, border) for scale in range(SCALES)
        )

    @staticmethod
    def conv(channels_in: int, channels: int, border: str) -> nn.Conv2d:
        """3 x 3 convolution that keeps the size."""
        return nn.Conv2d(channels_in, channels, 3, padding=1, padding_mode=border)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        """Five encoder maps to (B, channels, H / 2^s, W / 2^s), s = 0..3."""
        x, outputs = features[-1], {}
        for level, before, after in zip(reversed(range(5)), self.before, self.after):
            x = F.interpolate(F.elu(before(x)), scale_factor=2.0, mode="nearest")
            if level > 0:
                x = torch.cat([x, features[level - 1]], dim=1)
            x = F.elu(after(x))  # (B, DECODER[level], H / 2^level, W / 2^level)
            if level < SCALES:
                out = self.heads[level](x)
                outputs[level] = torch.tanh(out) if self.bounded else out
        return tuple(outputs[scale] for scale in range(SCALES))


class FlowNetwork(nn.Module):
    """Encoder and decoder; `FlowNetwork(OPTICAL_FLOW)` or `FlowNetwork(APPEARANCE_FLOW)`."""

    def __init__(self, config: FlowNetworkConfig) -> None:
        super().__init__()
        self.encoder = FlowEncoder()
        self.decoder = FlowDecoder(config)

    def forward(self, pair: Tensor) -> tuple[Tensor, ...]:
        """(B, 6, H, W), H and W multiples of 32, to the outputs of scales 0..3."""
        return self.decoder(self.encoder(pair))
