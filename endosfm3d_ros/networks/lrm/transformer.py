"""From image tokens to triplane tokens, modulated by the camera (Hong et al. 2024, section 3.2).

Shapes: B images, T triplane tokens of width C, M image tokens of width E, camera embedding K.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-6  # OpenLRM
MLP_RATIO = 4


class ModulatedNorm(nn.Module):
    """Layer norm whose gain and offset depend on the camera."""

    def __init__(self, width: int, camera_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.modulation = nn.Linear(camera_width, 2 * width)

    def forward(self, tokens: Tensor, camera: Tensor) -> Tensor:
        """(B, T, C) and (B, K) to (B, T, C)."""
        shift, scale = self.modulation(F.silu(camera))[:, None].chunk(2, dim=-1)
        return self.norm(tokens) * (1 + scale) + shift

    def folded(self, camera: Tensor) -> FoldedNorm:
        """The plain layer norm that this is for one (1, K) camera."""
        shift, scale = self.modulation(F.silu(camera))[0].chunk(2, dim=-1)
        norm = FoldedNorm(self.norm.normalized_shape, eps=NORM_EPS)
        norm.weight = nn.Parameter(self.norm.weight * (1 + scale))
        norm.bias = nn.Parameter(self.norm.bias * (1 + scale) + shift)
        return norm


class FoldedNorm(nn.LayerNorm):
    """Layer norm in the place of a modulated one; the camera is part of its weights."""

    def forward(self, tokens: Tensor, camera: Tensor | None) -> Tensor:
        """(B, T, C) to the same shape."""
        return super().forward(tokens)


class TokenAttention(nn.Module):
    """Multi-head attention without biases; keys and values may have another width."""

    def __init__(self, width: int, source_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(source_width, width, bias=False)
        self.value = nn.Linear(source_width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, source: Tensor) -> Tensor:
        """(B, T, C) attending to (B, M, E)."""
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, x in ((self.query, tokens), (self.key, source), (self.value, source))
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.output(mixed.transpose(1, 2).flatten(2))


class TriplaneBlock(nn.Module):
    """Attention to the image, attention among the tokens, and a perceptron."""

    def __init__(self, width: int, image_width: int, camera_width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = ModulatedNorm(width, camera_width)
        self.cross = TokenAttention(width, image_width, heads)
        self.norm2 = ModulatedNorm(width, camera_width)
        self.self_ = TokenAttention(width, width, heads)
        self.norm3 = ModulatedNorm(width, camera_width)
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor, image: Tensor, camera: Tensor | None) -> Tensor:
        """(B, T, C) with (B, M, E) and (B, K) to (B, T, C); folded norms need no camera."""
        tokens = tokens + self.cross(self.norm1(tokens, camera), image)
        inner = self.norm2(tokens, camera)
        tokens = tokens + self.self_(inner, inner)
        return tokens + self.fc2(F.gelu(self.fc1(self.norm3(tokens, camera))))

    def fold(self, camera: Tensor) -> None:
        """Put one (1, K) camera into the norms."""
        with torch.no_grad():
            for name in ("norm1", "norm2", "norm3"):
                setattr(self, name, getattr(self, name).folded(camera))
