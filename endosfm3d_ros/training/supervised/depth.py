"""Depth from one simulated image: scale-invariant logarithmic error and its gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.depth import scaled_disparity
from endosfm3d_ros.networks.students import DepthStudent
from endosfm3d_ros.training.supervised.bank import Bank
from endosfm3d_ros.training.supervised.loop import Schedule, Task, generator_of
from endosfm3d_ros.training.supervised.photometry import photometric
from endosfm3d_ros.training.supervised.windows import coins, enlarged, flipped, random_windows

UNIT = 0.1  # m that one unit of the network stands for: inverse depths of 0.3 to 4
GRADIENT_SCALES = 4


@dataclass(frozen=True)
class DepthLossConfig:
    """Weights of the terms."""

    scale: float = 0.1  # of the image's mean error: one image says little about its scale
    gradient: float = 0.5
    expected_error: float = 0.1
    smallest_error: float = 0.01  # of ln depth; no pixel is expected to be better
    zoom: float = 0.7  # smallest window that is cut out


@dataclass(frozen=True)
class DepthTask(Task):
    """A depth network on a bank of single images.

    Args:
        bank: of one or more frames; the first one is used.
        config: weights of the loss.
    """

    bank: Bank
    config: DepthLossConfig = DepthLossConfig()
    name = "depth"

    def network(self) -> nn.Module:
        return DepthStudent()

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        image, depth = batch
        logit, log_error = network(image)
        return depth_loss(logit.float(), log_error.float(), depth, self.config)

    def batch(self, step: int, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) images in [0, 1] and (B, 1, H, W) depth in units of a step."""
        random = generator_of(schedule.seed, step)
        sample = self.bank.draw(schedule.batch, step / schedule.steps, random)
        image = photometric(sample.images[:, :1], random)[:, 0]
        depth = sample.depth[:, :1] / UNIT
        mirror = coins(2, random)
        window = random_windows(schedule.batch, self.config.zoom, random)
        image = enlarged(flipped(image, *mirror), window, "bilinear")
        depth = enlarged(flipped(depth, *mirror), window, "nearest")
        return image.contiguous(memory_format=torch.channels_last), depth


def depth_loss(
    logit: Tensor, log_error: Tensor, depth: Tensor, config: DepthLossConfig
) -> dict[str, Tensor]:
    """Terms for (B, 1, H, W) outputs and depth in units.

    The scale of an image is the mean of its errors (Eigen et al. 2014, section 3.2), taken out
    of all terms but `scale`; errors count absolutely, gradients at four sizes (Li and Snavely
    2018, eq. 3), and the expected error as the width of a Laplace distribution.
    """
    error = -torch.log(scaled_disparity(torch.sigmoid(logit))) - torch.log(depth)
    scale = error.mean(dim=(2, 3), keepdim=True)
    error = error - scale
    absolute = error.abs()
    width = log_error.exp() + config.smallest_error
    expected = (absolute.detach() / width + torch.log(width)).mean()
    terms = {
        "data": absolute.mean(),
        "scale": scale.abs().mean(),
        "gradient": gradient_loss(error),
        "expected": expected,
    }
    total = terms["data"] + config.scale * terms["scale"] + config.gradient * terms["gradient"]
    return terms | {"loss": total + config.expected_error * expected}


def gradient_loss(error: Tensor) -> Tensor:
    """Mean difference of neighbouring errors at four sizes, each half of the one before."""
    total = error.new_zeros(())
    for scale in range(GRADIENT_SCALES):
        reduced = F.avg_pool2d(error, 2**scale) if scale else error
        total = total + reduced.diff(dim=-1).abs().mean() + reduced.diff(dim=-2).abs().mean()
    return total / GRADIENT_SCALES
