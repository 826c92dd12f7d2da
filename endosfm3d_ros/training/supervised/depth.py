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
        start: tensors of such a network, to begin from.
        config: weights of the loss.
    """

    bank: Bank
    start: dict[str, Tensor] | None = None
    config: DepthLossConfig = DepthLossConfig()
    name = "depth"

    def network(self) -> nn.Module:
        network = DepthStudent()
        if self.start is not None:
            network.load_state_dict({k: v.float() for k, v in self.start.items()}, strict=False)
        return network

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        image, depth = batch
        logit, log_error = network(image)
        return depth_loss(logit.float(), log_error.float(), depth, self.config)

    def batch(self, step: int, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) images in [0, 1] and (B, 1, H, W) depth in units of a step."""
        random = generator_of(schedule.seed, step)
        sample = self.bank.draw(schedule.batch, step / schedule.steps, random)
        return augmented(sample.images[:, :1], sample.depth[:, :1], random, self.config.zoom)


def augmented(
    images: Tensor, depth: Tensor, random: torch.Generator, zoom: float
) -> tuple[Tensor, Tensor]:
    """Developed, mirrored and cut out at random; depth moves with its image.

    Args:
        images: (B, 1, 3, H, W) uint8 RGB.
        depth: (B, 1, H, W) m.
        random: on their device.
        zoom: smallest window that is cut out, as a share of each side.

    Returns:
        (B, 3, H, W) images in [0, 1] and (B, 1, H, W) depth in units.
    """
    image, depth = photometric(images, random)[:, 0], depth / UNIT
    mirror = coins(2, random)
    window = random_windows(len(image), zoom, random)
    image = enlarged(flipped(image, *mirror), window, "bilinear")
    depth = enlarged(flipped(depth, *mirror), window, "nearest")
    return image.contiguous(memory_format=torch.channels_last), depth


def depth_loss(
    logit: Tensor, log_error: Tensor, depth: Tensor, config: DepthLossConfig
) -> dict[str, Tensor]:
    """Terms for (B, 1, H, W) outputs and depth in units: `shape_loss`, and what is expected of it.

    The expected error is the width of a Laplace distribution of the errors found.
    """
    terms, error = shape_loss(logit, depth, config)
    width = log_error.exp() + config.smallest_error
    expected = (error.detach().abs() / width + torch.log(width)).mean()
    loss = terms["loss"] + config.expected_error * expected
    return terms | {"expected": expected, "loss": loss}


def shape_loss(
    logit: Tensor, depth: Tensor, config: DepthLossConfig
) -> tuple[dict[str, Tensor], Tensor]:
    """Terms, and the error of ln depth per pixel with the scale of its image taken out.

    That scale is the mean of the errors (Eigen et al. 2014, section 3.2) and counts little;
    errors count absolutely, and their gradients at four sizes (Li and Snavely 2018, eq. 3).
    """
    error = -torch.log(scaled_disparity(torch.sigmoid(logit))) - torch.log(depth)
    scale = error.mean(dim=(2, 3), keepdim=True)
    error = error - scale
    terms = {
        "data": error.abs().mean(),
        "scale": scale.abs().mean(),
        "gradient": gradient_loss(error),
    }
    total = terms["data"] + config.scale * terms["scale"] + config.gradient * terms["gradient"]
    return terms | {"loss": total}, error


def gradient_loss(error: Tensor) -> Tensor:
    """Mean difference of neighbouring errors at four sizes, each half of the one before."""
    total = error.new_zeros(())
    for scale in range(GRADIENT_SCALES):
        reduced = F.avg_pool2d(error, 2**scale) if scale else error
        total = total + reduced.diff(dim=-1).abs().mean() + reduced.diff(dim=-2).abs().mean()
    return total / GRADIENT_SCALES
