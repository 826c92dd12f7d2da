"""The depth network in fewer operations: the same function but for rounding, made for export.

An engine has fixed weights and one image size, so neighbouring layers without a nonlinearity
between them can be computed as one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.depth import DepthNetwork
from endosfm3d_ros.networks.dinov2 import Dinov2
from endosfm3d_ros.networks.dpt import Fusion, Neck


class Offset(nn.Module):
    """Adds a constant map."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)  # (1, C, h, w)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        return x + self.value


class ProjectedFusion(nn.Module):
    """`Fusion` that projects before it enlarges, on a quarter of the pixels.

    Interpolation treats all channels alike and its weights sum to one, so the two commute, bias
    included.
    """

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        self.lateral, self.merged = fusion.lateral, fusion.merged
        self.projection = fusion.projection

    def forward(self, lateral: Tensor, coarse: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Both (B, F, h, w), to (B, F, *size)."""
        x = lateral if coarse is None else coarse + self.lateral(lateral)
        x = self.projection(self.merged(x))
        return F.interpolate(x, size, mode="bilinear", align_corners=True)


@torch.no_grad()
def fold(network: DepthNetwork) -> None:
    """Rewrite, in place, a network that `fixed_to` made for one size; tokens lose their meaning.

    Afterwards the levels are what they were, from fewer operations.
    """
    # 1 what normalisation multiplies and adds: into the layers that read it
    _absorb_norms(network.backbone, network.neck)
    # 2 projection, change of size and 3 x 3 convolution of a level: fewer layers
    for index, resize in enumerate(network.neck.resizes):
        if not isinstance(resize, nn.Identity):
            _join_level(network.neck, index, network.backbone.grid)
    # 3 projections of the fusion blocks: before enlarging
    network.neck.fusions = nn.ModuleList(ProjectedFusion(x) for x in network.neck.fusions)


def _absorb_norms(backbone: Dinov2, neck: Neck) -> None:
    for block in backbone.blocks:
        attention = block.attention
        block.norm1 = _absorbed(block.norm1, [attention.query, attention.key, attention.value])
        block.norm2 = _absorbed(block.norm2, [block.fc1])
    backbone.norm = _absorbed(backbone.norm, list(neck.projections))


def _absorbed(norm: nn.LayerNorm, readers: list[nn.Linear | nn.Conv2d]) -> nn.LayerNorm:
    """W (g x + b) + c = (W g) x + (W b + c) in every reader; the norm that is left of it."""
    for reader in readers:
        weight = reader.weight.flatten(1)  # (out, in); a projection is a 1 x 1 convolution
        reader.bias += weight @ norm.bias
        reader.weight.copy_((weight * norm.weight).view_as(reader.weight))
    return nn.LayerNorm(norm.normalized_shape, norm.eps, elementwise_affine=False)


def _join_level(neck: Neck, index: int, grid: tuple[int, int]) -> None:
    """Fewer layers in the places of projection, resize and conv of one level.

    The three are affine together. Their answer to zeros holds all biases, also at the edges,
    where zero padding cuts them off; the joined layers have none.
    """
    projection, resize, conv = neck.projections[index], neck.resizes[index], neck.convs[index]
    zeros = projection.weight.new_zeros(1, projection.in_channels, *grid)
    offset = Offset(conv(resize(projection(zeros))))
    if isinstance(resize, nn.ConvTranspose2d):
        projection.bias = None
        neck.resizes[index], neck.convs[index] = _enlarged_and_convolved(resize, conv), offset
    else:
        neck.projections[index] = nn.Identity()
        resize.weight = nn.Parameter(
            torch.einsum("omkl,mi->oikl", resize.weight, projection.weight[:, :, 0, 0])
        )
        resize.bias, neck.convs[index] = None, nn.Sequential(conv, offset)


def _enlarged_and_convolved(enlarge: nn.ConvTranspose2d, conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """A k x k transposed convolution of stride k and a padded 3 x 3 one as one, without bias.

    Each patch then reaches one pixel further on all sides: the kernel is (k + 2) x (k + 2).
    """
    size = enlarge.kernel_size[0]
    joined = nn.ConvTranspose2d(
        enlarge.in_channels, conv.out_channels, size + 2, stride=size, padding=1, bias=False
    )
    joined.weight = nn.Parameter(F.conv2d(enlarge.weight, conv.weight, padding=2))
    return joined
