"""Spatial attention map from self-attention between patches of a feature map (EndoSfM3D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.errors import InputError

HEADS = 8
PATCH = 8  # feature-map pixels
POSITIONS = 1024  # learned position vectors, by running token number
DROPOUT = 0.1  # of the attention weights, in training only


class SelfAttention(nn.Module):
    """Multi-head self-attention with the parameter names of torch.nn.MultiheadAttention.

    Written out because the fused kernel behind that class cannot be exported.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to the same shape."""
        joint = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)  # (B, N, 3 C)
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in joint.chunk(3, dim=-1)
        )
        dropout = DROPOUT if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def doubling(channels_in: int, channels: int, last: bool) -> nn.Sequential:
    """Transposed convolution that doubles height and width, with normalisation."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels, 3, stride=2, padding=1, output_padding=1),
        nn.GroupNorm(1, channels),
        nn.Identity() if last else nn.GELU(),
    )


class PatchAttention(nn.Module):
    """(B, C, h, w) feature map to its (B, 1, h, w) attention map in (0, 1).

    Positions are learned by running token number, so trained weights fit one image size only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.patch_embed = nn.Sequential(
            nn.Conv2d(channels, channels, PATCH, stride=PATCH), nn.GroupNorm(1, channels)
        )
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, POSITIONS, channels))
        self.norm = nn.LayerNorm(channels)
        self.multihead_attn = SelfAttention(channels)
        self.upsample_layers = nn.Sequential(
            doubling(channels, channels // 2, last=False),
            doubling(channels // 2, channels // 4, last=False),
            doubling(channels // 4, channels, last=True),
        )
        self.attention_conv = nn.Sequential(
            nn.Conv2d(channels, channels // 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels // 4, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, 1, h, w).

        Raises:
            InputError: the map has more than 1024 patches of 8 x 8.
        """
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, -width % PATCH, 0, -height % PATCH))  # right and bottom, zeros
        patches = F.gelu(self.patch_embed(padded))  # (B, C, rows, columns)
        rows, columns = patches.shape[-2:]
        if rows * columns > POSITIONS:
            raise InputError(
                f"feature map of {height}x{width} has {rows * columns} patches of {PATCH}x{PATCH}, "
                f"at most {POSITIONS} are accepted"
            )
        tokens = patches.flatten(2).transpose(1, 2) + self.pos_embed[:, : rows * columns]
        tokens = self.multihead_attn(self.norm(tokens))  # (B, N, C), no residual
        mixed = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        enlarged = self.upsample_layers(mixed)[..., :height, :width]  # back to 8 x, then crop
        return torch.sigmoid(self.attention_conv(enlarged))
