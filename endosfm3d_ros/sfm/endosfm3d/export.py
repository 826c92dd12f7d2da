"""The two networks in the form in which engines run them. Imports torch."""

from __future__ import annotations

import copy
from pathlib import Path

from torch import Tensor, nn

from endosfm3d_ros.networks import DepthNetwork
from endosfm3d_ros.networks.checkpoints import load_depth_network, load_pose_network
from endosfm3d_ros.networks.depth_folding import fold


class DepthLogits(nn.Module):
    """Image to the logits of the two finest disparities.

    The second one costs 2 % more and is what the confidence compares the first with.
    """

    def __init__(self, network: DepthNetwork, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network.fixed_to(*size)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) RGB in [0, 1] to (1, 1, H, W) and (1, 1, H / 2, W / 2)."""
        height, width = image.shape[-2:]
        *_, coarse, fine = self.network.levels(image)
        head = self.network.head
        return head(fine, (height, width)), head(coarse, (height // 2, width // 2))


def simplified_depth_module(module: DepthLogits) -> DepthLogits:
    """A copy with the same logits from fewer operations; see `depth_folding`."""
    simplified = copy.deepcopy(module)
    fold(simplified.network)
    return simplified


def load_depth_module(folder: Path, size: tuple[int, int]) -> nn.Module:
    """Depth network of a weights folder for images of one (height, width)."""
    return DepthLogits(load_depth_network(folder), size)


def load_pose_module(folder: Path) -> nn.Module:
    """Pose network of a weights folder; it already returns axis-angle, translation and q."""
    return load_pose_network(folder)
