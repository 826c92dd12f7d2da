"""The two losses of EndoSfM3D's self-supervised training, from a target and its neighbours.

Step 1 trains the optical flow to register a neighbour with the brightness-corrected target.
Step 2 trains depth, pose and appearance flow: the neighbour, warped by depth and motion, must
look like the brightness-corrected target. Images are (B, 3, H, W) RGB in [0, 1]; four scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from endosfm3d_ros.networks.depth import SCALES, disparity_to_depth
from endosfm3d_ros.networks.flow import FlowNetwork
from endosfm3d_ros.networks.warp import visible_mask, warp_by_depth, warp_by_flow
from endosfm3d_ros.training.losses import masked_mean, normalised, photometric, smoothness
from endosfm3d_ros.training.recipes import LossWeights


@dataclass(frozen=True)
class SourceView:
    """What the two flow networks say about one neighbour; tuples run over scales 0..3."""

    flow: tuple[Tensor, ...]  # (B, 2, H / 2^s, W / 2^s) (y, x) in pixels of the full image
    registered: tuple[Tensor, ...]  # (B, 3, H, W) neighbour moved onto the target
    visible: Tensor  # (B, 1, H, W) 1 where the neighbour sees the target's pixel
    change: tuple[Tensor, ...]  # (B, 3, H / 2^s, W / 2^s) brightness change
    refined: tuple[Tensor, ...]  # (B, 3, H, W) target under the neighbour's illumination


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear to the size of another image, corner pixels on corner pixels."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


def pyramid(image: Tensor) -> list[Tensor]:
    """The image at scales 0..3, each the mean of 2^s x 2^s pixels."""
    return [F.avg_pool2d(image, 2**scale) for scale in range(SCALES)]


def observe(
    optical_flow: FlowNetwork,
    appearance_flow: FlowNetwork,
    source: Tensor,
    target: Tensor,
    jittered: tuple[Tensor, Tensor] | None = None,
) -> SourceView:
    """Register one neighbour with the target and correct the target's brightness.

    `jittered` are source and target as the optical flow is to see them, by default unchanged.
    """
    source_seen, target_seen = jittered or (source, target)
    flow = optical_flow(torch.cat([source_seen, target_seen], dim=1))
    with torch.no_grad():
        reverse = optical_flow(torch.cat([target_seen, source_seen], dim=1))
    visible = visible_mask(reverse[0])  # the finest scale serves all
    registered = tuple(warp_by_flow(source, enlarged(f, target)) for f in flow)
    change = appearance_flow(torch.cat([registered[0], target], dim=1))
    refined = tuple((target + enlarged(c, target) * visible).clamp(0, 1) for c in change)
    return SourceView(flow, registered, visible, change, refined)


def synthesise(
    source: Tensor, disparities: tuple[Tensor, ...], K: Tensor, T: Tensor
) -> tuple[Tensor, ...]:
    """Neighbour seen from the target, per scale: K (B, 3, 3), T (B, 4, 4) target to neighbour."""
    depths = (disparity_to_depth(enlarged(d, source)) for d in disparities)
    return tuple(warp_by_depth(source, depth, K, T)[0] for depth in depths)


def flow_loss(views: list[SourceView], target: Tensor, weights: LossWeights) -> Tensor:
    """(4,) loss of step 1 per scale; the training minimises the mean."""
    images, losses = pyramid(target), []
    for scale in range(SCALES):
        terms = []
        for view in views:
            error = photometric(view.registered[scale], view.refined[scale].detach())
            smooth = smoothness(view.flow[scale], images[scale])
            weight = weights.flow_smoothness / 2**scale
            terms.append(masked_mean(error, view.visible) + weight * smooth)
        losses.append(torch.stack(terms).mean())
    return torch.stack(losses)


def depth_loss(
    views: list[SourceView],
    warped: list[tuple[Tensor, ...]],
    disparities: tuple[Tensor, ...],
    target: Tensor,
    weights: LossWeights,
) -> Tensor:
    """(4,) loss of step 2 per scale; `warped` holds the synthesised neighbours of `views`."""
    images, losses = pyramid(target), []
    for scale in range(SCALES):
        errors = [
            masked_mean(photometric(images_of[scale], view.refined[scale]), view.visible)
            for view, images_of in zip(views, warped)
        ]
        smooth = smoothness(normalised(disparities[scale]), images[scale])
        weight = weights.disparity_smoothness / 2**scale
        losses.append(torch.stack(errors).mean() + weight * smooth)
    return torch.stack(losses)
