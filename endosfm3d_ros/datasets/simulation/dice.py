"""Random numbers of one seed; parameters are drawn on the CPU and so are alike on all devices."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Dice:
    """A seeded source of parameters and of pixel noise.

    Args:
        seed: any integer that torch accepts.
        device: where the drawn tensors are wanted.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._parameters = torch.Generator().manual_seed(seed)
        self._pixels = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Evenly between two numbers."""
        drawn = torch.rand(shape, generator=self._parameters) * (high - low) + low
        return drawn.to(self.device)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Evenly between the logarithms of two positive numbers."""
        return self.uniform(math.log(low), math.log(high), *shape).exp_()

    def normal(self, *shape: int) -> Tensor:
        """Mean zero, deviation one."""
        return torch.randn(shape, generator=self._parameters).to(self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with a probability."""
        return (torch.rand(shape, generator=self._parameters) < probability).to(self.device)

    def pick(self, weights: tuple[float, ...], *shape: int) -> Tensor:
        """Indices into `weights`, as likely as they are heavy."""
        count = math.prod(shape)
        drawn = torch.multinomial(
            torch.tensor(weights), count, replacement=True, generator=self._parameters
        )
        return drawn.reshape(shape).to(self.device)

    def grain(self, *shape: int) -> Tensor:
        """Normal noise for pixels, drawn on the device itself."""
        return torch.randn(shape, generator=self._pixels, device=self.device)
