"""The two losses with every pixel judged on its own: masks act on all of the error.

As in `self_supervision`, but the structural part is a map instead of one number for the batch, each
pixel takes the neighbour that explains it better, and pixels that are no tissue do not count.
Images are (B, 3, H, W) RGB in [0, 1], masks (B, 1, H, W) in {0, 1}.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.networks.depth import SCALES, disparity_to_depth
from endosfm3d_ros.networks.warp import warp_by_depth
from endosfm3d_ros.training.losses import (
    brightness_smoothness,
    masked_mean,
    normalised,
    photometric_per_pixel,
    smoothness,
)
from endosfm3d_ros.training.recipes import LossWeights
from endosfm3d_ros.training.self_supervision import SourceView, enlarged, pyramid

UNUSABLE = 1e3  # an error that no other neighbour exceeds
WHOLE = 0.99  # share of a sample that must be tissue


@dataclass(frozen=True)
class Synthesis:
    """A neighbour as it would look from the target; tuples run over scales 0..3."""

    images: tuple[Tensor, ...]  # (B, 3, H, W)
    usable: tuple[Tensor, ...]  # (B, 1, H, W) 1 where the sample is inside, and tissue


def synthesise_masked(
    source: Tensor, tissue: Tensor, disparities: tuple[Tensor, ...], K: Tensor, T: Tensor
) -> Synthesis:
    """Neighbour seen from the target: K (B, 3, 3), T (B, 4, 4) target to neighbour.

    `tissue` is the neighbour's own mask.
    """
    images, usable = [], []
    for disparity in disparities:
        depth = disparity_to_depth(enlarged(disparity, source))
        warped, grid = warp_by_depth(torch.cat([source, tissue], dim=1), depth, K, T)
        inside = (grid.detach().abs().amax(dim=-1) <= 1)[:, None]
        images.append(warped[:, :3])
        usable.append((inside & (warped[:, 3:].detach() > WHOLE)).to(source.dtype))
    return Synthesis(tuple(images), tuple(usable))


def masked_flow_loss(
    views: list[SourceView], target: Tensor, tissue: Tensor, weights: LossWeights
) -> Tensor:
    """(4,) loss of step 1 per scale; `tissue` is the target's mask."""
    images, losses = pyramid(target), []
    for scale in range(SCALES):
        terms = []
        for view in views:
            error = photometric_per_pixel(view.registered[scale], view.refined[scale].detach())
            smooth = smoothness(view.flow[scale], images[scale])
            weight = weights.flow_smoothness / 2**scale
            terms.append(masked_mean(error, view.visible * tissue) + weight * smooth)
        losses.append(torch.stack(terms).mean())
    return torch.stack(losses)


def minimum_depth_loss(
    views: list[SourceView],
    syntheses: list[Synthesis],
    disparities: tuple[Tensor, ...],
    target: Tensor,
    tissue: Tensor,
    weights: LossWeights,
) -> Tensor:
    """(4,) loss of step 2 per scale; `syntheses` are those of `views`."""
    images, losses = pyramid(target), []
    for scale in range(SCALES):
        error, seen = best_neighbour(views, syntheses, scale)
        smooth = smoothness(normalised(disparities[scale]), images[scale])
        brightness = [brightness_loss(view, target, tissue, scale, weights) for view in views]
        losses.append(
            masked_mean(error, seen * tissue)
            + weights.disparity_smoothness / 2**scale * smooth
            + torch.stack(brightness).mean()
        )
    return torch.stack(losses)


def best_neighbour(
    views: list[SourceView], syntheses: list[Synthesis], scale: int
) -> tuple[Tensor, Tensor]:
    """(B, 1, H, W) smallest error over the neighbours, and where any of them can be used.

    Godard et al. 2019, section 3.2: a pixel hidden in one neighbour is mostly seen in the other.
    """
    errors, usable = [], []
    for view, synthesis in zip(views, syntheses):
        error = photometric_per_pixel(synthesis.images[scale], view.refined[scale])
        use = view.visible * synthesis.usable[scale]
        errors.append(error.where(use > 0, UNUSABLE))
        usable.append(use)
    return torch.stack(errors).amin(dim=0), torch.stack(usable).amax(dim=0)


def brightness_loss(
    view: SourceView, target: Tensor, tissue: Tensor, scale: int, weights: LossWeights
) -> Tensor:
    """What keeps the brightness change honest (AF-SfMLearner, Shao et al. 2022).

    The corrected target must look like the registered neighbour, and the change must be smooth
    but where the two differ abruptly.
    """
    registered, mask = view.registered[scale].detach(), view.visible * tissue
    difference = (view.refined[scale] - registered).abs().mean(dim=1, keepdim=True)
    smooth = brightness_smoothness(enlarged(view.change[scale], target), target - registered, mask)
    return (
        weights.transform_constraint * masked_mean(difference, mask)
        + weights.transform_smoothness * smooth
    )
