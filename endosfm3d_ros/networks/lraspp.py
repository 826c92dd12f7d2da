"""Lite R-ASPP segmentation (Howard et al. 2019, section 6.3.4) for instruments and their parts.

The first class says tool or tissue; the others say which part of a tool (EndoVis 2017).
Parameters are named as in torchvision, so that its weights can be loaded but for the classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_files import listed, read_tensors
from endosfm3d_ros.networks.mobilenet import (
    HIGH_CHANNELS,
    LOW_CHANNELS,
    MobileNetV3,
)

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB
WIDTH = 128  # channels between the features and the classes


class LiteHead(nn.Module):
    """Features gated by their surroundings, joined with finer ones by a sum of class scores."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(HIGH_CHANNELS, WIDTH, 1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(HIGH_CHANNELS, WIDTH, 1, bias=False), nn.Sigmoid()
        )
        self.low_classifier = nn.Conv2d(LOW_CHANNELS, classes, 1)
        self.high_classifier = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(B, 40, h, w) and (B, 960, h / 2, w / 2) to (B, classes, h, w) scores."""
        gated = self.cbr(high) * self.scale(high)
        gated = F.interpolate(gated, low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(gated)


class ToolNetwork(nn.Module):
    """MobileNetV3-Large with a binary and a part head on common features; 3.2 M parameters.

    Args:
        parts: classes of the part head, tissue included.
    """

    def __init__(self, parts: int = 4) -> None:
        super().__init__()
        self.backbone = MobileNetV3()
        self.classifier = LiteHead(1 + parts)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to logits (B, 1, H, W) and (B, parts, H, W)."""
        scores = self.classifier(*self.backbone((image - self.mean) / self.deviation))
        scores = F.interpolate(scores, image.shape[-2:], mode="bilinear", align_corners=False)
        return scores[:, :1], scores[:, 1:]


def load_tool_network(path: Path) -> ToolNetwork:
    """The network with the weights of a file, in evaluation mode.

    Raises:
        ConfigurationError: the file cannot be read, or holds other tensors than the network has.
    """
    network = ToolNetwork()
    tensors = read_tensors(path)
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors]
    unknown = [name for name in tensors if name not in wanted]
    if missing or unknown:
        first = missing or unknown
        raise ConfigurationError(
            f"{path} {'lacks' if missing else 'has unknown'} tensors: {listed(first)}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise ConfigurationError(
                f"{path}: tensor '{name}' is {list(tensor.shape)}, "
                f"{list(wanted[name].shape)} is accepted"
            )
    network.load_state_dict(tensors)
    return network.eval()
