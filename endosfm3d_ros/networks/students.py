"""The small networks of the starter weights, with the outputs of the large ones.

They are quick on a processor without GPU, and small enough to be trained on one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from endosfm3d_ros.networks.residual import BLOCK
from endosfm3d_ros.networks.unet import UNet, UNetConfig

SIZE = (128, 160)  # (height, width) of the images that the starter weights belong to
START_LOGIT = -2.0  # inverse depth 1.2 before training, the middle of what it shall learn
PARTS = 4  # classes of the part head, tissue included


class DepthStudent(nn.Module):
    """Sigmoid disparity like `DepthNetwork.logit`, and the error expected there."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.unet = UNet(2, config)
        nn.init.constant_(self.unet.head.bias[: BLOCK**2], START_LOGIT)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to two (B, 1, H, W) maps.

        Returns:
            the logit of the disparity (`networks.depth.scaled_disparity` makes inverse depth of
            its sigmoid), and ln of the expected absolute error of ln depth, the scale of the
            whole image left out.
        """
        maps = self.unet(image)
        return maps[:, :1], maps[:, 1:]


class MirroredDepth(nn.Module):
    """A `DepthStudent` that also looks into a mirror, and answers with the mean of both views.

    A scene and its mirror image are equally likely: what differs between the answers is error
    (test-time flipping; Godard et al. 2017, section 4.4).
    """

    def __init__(self, network: DepthStudent) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) to the two (1, 1, H, W) maps of the network."""
        maps = self.network(torch.cat([image, image.flip(3)]))
        logit, log_error = ((each[:1] + each[1:].flip(3)) / 2 for each in maps)
        return logit, log_error


class ToolStudent(nn.Module):
    """Instruments and their parts, like `lraspp.ToolNetwork`."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.unet = UNet(1 + PARTS, config)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to logits (B, 1, H, W) and (B, 4, H, W)."""
        scores = self.unet(image)
        return scores[:, :1], scores[:, 1:]
