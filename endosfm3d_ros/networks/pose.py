"""Pose and intrinsics network of EndoSfM3D: one pair of frames to motion and focal lengths.

The pair is (source, target): six channels, RGB in [0, 1] without mean or standard deviation.
The motion maps points of the target camera into the source camera, X_s = T X_t.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.patch_attention import PatchAttention
from endosfm3d_ros.networks.resnet import WIDTHS, ResNet18


@dataclass(frozen=True)
class PoseNetworkConfig:
    """Values of the published network."""

    attended_layers: tuple[int, ...] = (0, 2)  # after layer1 and layer3: every second layer
    decoder_channels: int = 256
    intrinsics_channels: int = 64
    motion_scale: float = 0.001  # of rotation and translation, Monodepth2 uses 0.01
    motion_slots: int = 2  # the decoder predicts two motions; only the first is used


class PoseEncoder(nn.Module):
    """ResNet-18 whose features are weighted by patch attention maps."""

    def __init__(self, config: PoseNetworkConfig) -> None:
        super().__init__()
        self.resnet = ResNet18(channels_in=6)
        self.attentions = nn.ModuleDict(
            {f"layer_{index}": PatchAttention(WIDTHS[index]) for index in config.attended_layers}
        )

    def forward(self, pair: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        """(B, 6, H, W) to 5 feature maps (see `ResNet18`) and the attention maps by name."""
        maps: dict[str, Tensor] = {}

        def attend(index: int, x: Tensor) -> Tensor:
            name = f"layer_{index}"
            if name not in self.attentions:
                return x
            maps[name] = self.attentions[name](x)  # (B, 1, h, w)
            return x * maps[name]

        return self.resnet(pair, attend), maps


def mirrored(x: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C, h + 2, w + 2), the second row and column repeated outside.

    Joined from slices because a reflecting pad has no static shape in an ONNX file.
    """
    x = torch.cat([x[:, :, 1:2], x, x[:, :, -2:-1]], dim=2)
    return torch.cat([x[..., 1:2], x, x[..., -2:-1]], dim=3)


class PoseDecoder(nn.Module):
    """Last feature map to motion and to the four numbers of the camera."""

    def __init__(self, config: PoseNetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.decoder_channels
        self.squeeze = nn.Conv2d(WIDTHS[-1], channels, 1)
        self.motion1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.motion2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.motion3 = nn.Conv2d(channels, 6 * config.motion_slots, 1)
        self.camera1 = nn.Conv2d(channels, channels, 3)
        self.camera2 = nn.Conv2d(channels, config.intrinsics_channels, 3)
        self.camera3 = nn.Linear(config.intrinsics_channels, 4)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 512, 8, 10) to axis-angle (B, 3), translation (B, 3) and q (B, 4)."""
        squeezed = F.relu(self.squeeze(feature))  # (B, 256, 8, 10)
        x = F.relu(self.motion2(F.relu(self.motion1(squeezed))))
        motion = self.config.motion_scale * self.motion3(x).mean(dim=(2, 3))  # (B, 12)
        x = F.elu(self.camera1(mirrored(squeezed)))
        x = F.elu(self.camera2(mirrored(x)))  # (B, 64, 8, 10)
        q = self.camera3(x.mean(dim=(2, 3)))
        return motion[:, :3], motion[:, 3:6], q


class PoseNetwork(nn.Module):
    """Encoder and decoder together, as exported."""

    def __init__(self, config: PoseNetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or PoseNetworkConfig()
        self.encoder = PoseEncoder(self.config)
        self.decoder = PoseDecoder(self.config)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 6, 256, 320) to axis-angle (B, 3) in rad, translation (B, 3) and q (B, 4).

        `pair = torch.cat([source, target], dim=1)`. The translation has the unit of the depth
        network's output. `camera_motion` turns the outputs into matrices.
        """
        features, _ = self.encoder(pair)
        return self.decoder(features[-1])
