"""Weight-decomposed low-rank adaptation (DoRA, Liu et al. 2024).

    V  = W + (alpha / r) B A            direction
    W' = diag(m / ||V||) V              one magnitude m per output row; the bias stays

`A` is (r, in), `B` (out, r), `m` (out,). The norm is taken as a constant in the gradient
(section 4.3 of the paper).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class DoRAConfig:
    """Adapter of the published EndoSfM3D training, the same in all twelve layers."""

    rank: int = 14
    alpha: float = 16.0
    dropout: float = 0.1  # on the low-rank path, in training only
    targets: tuple[str, ...] = ("query", "value")

    @property
    def scaling(self) -> float:
        """Factor of B A."""
        return self.alpha / self.rank


def merged_weight(
    weight: Tensor, lora_A: Tensor, lora_B: Tensor, magnitude: Tensor, scaling: float
) -> Tensor:
    """(out, in) weight that acts like weight and adapter together; computed in float64."""
    direction = weight.double() + scaling * (lora_B.double() @ lora_A.double())
    rows = direction.norm(dim=1, keepdim=True)
    return (magnitude.double()[:, None] / rows * direction).to(weight.dtype)


class DoRALinear(nn.Module):
    """A linear layer with its adapter beside it, for training and for the unmerged check."""

    def __init__(self, linear: nn.Linear, config: DoRAConfig) -> None:
        super().__init__()
        self.scaling = config.scaling
        self.weight, self.bias = linear.weight, linear.bias
        self.lora_A = nn.Parameter(torch.empty(config.rank, linear.in_features))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, config.rank))
        self.magnitude = nn.Parameter(linear.weight.detach().norm(dim=1))
        self.dropout = nn.Dropout(config.dropout)
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        with torch.no_grad():
            direction = self.weight + self.scaling * (self.lora_B @ self.lora_A)
            norm = direction.norm(dim=1)
        low_rank = F.linear(F.linear(self.dropout(x), self.lora_A), self.lora_B)
        adapted = F.linear(x, self.weight) + self.scaling * low_rank
        return self.magnitude / norm * adapted + self.bias

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """The plain layer with the same output."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        linear.weight.copy_(
            merged_weight(self.weight, self.lora_A, self.lora_B, self.magnitude, self.scaling)
        )
        linear.bias.copy_(self.bias)
        return linear.to(self.weight)


def attach_adapters(network: nn.Module, config: DoRAConfig | None = None) -> None:
    """Replace every linear layer named in `config.targets` by one with an adapter, in place."""
    config = config or DoRAConfig()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if name in config.targets and isinstance(child, nn.Linear):
                setattr(parent, name, DoRALinear(child, config))


def merge_adapters(network: nn.Module) -> None:
    """Replace every adapted layer by the plain one with the same output, in place."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DoRALinear):
                setattr(parent, name, child.merge())
