"""What is true of two consecutive simulated images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from endosfm3d_ros.networks.pose_student import cell_places
from endosfm3d_ros.networks.residual import BLOCK
from endosfm3d_ros.training.supervised.bank import Sample
from endosfm3d_ros.training.supervised.windows import flipped

ROUND_TRIP = 1.0  # px that a place may be off after going forth and back, where both images show it


class PairTruth(NamedTuple):
    """What the network should answer; cells are of 4 x 4 px of the previous image."""

    R: Tensor  # (B, 3, 3) points of the previous camera to the current one
    t: Tensor  # (B, 3) shares of the previous image's typical depth, the geometric mean
    lens: Tensor  # (B, 4) ln fx / W, cx / W, cy / H, fy / fx
    flow: Tensor  # (B, 2, h, w) px, previous to current
    visible: Tensor  # (B, h, w) bool: tissue in both images
    rigid_flow: Tensor  # (B, 2, h, w) px, of a scene that moves with nothing but the camera
    tissue: Tensor  # (B, h, w) bool
    log_inverse_depth: Tensor  # (B, h, w) 1 / shares of the typical depth


def pair_truth(sample: Sample, previous: int, current: int) -> PairTruth:
    """The truth of two frames of a sample, the second of which follows the first in a circle."""
    height, width = sample.images.shape[-2:]
    # 1 motion of points from the previous camera to the current one
    T = torch.linalg.inv(sample.poses[:, current].double()) @ sample.poses[:, previous].double()
    T = T.float()
    inverse = in_cells(1 / sample.depth[:, previous])
    log_inverse = inverse.log()
    log_typical = log_inverse.mean(dim=(1, 2))[:, None]  # of inverse depth
    # 2 the camera; pixel centres lie at integer coordinates
    K = sample.intrinsics
    focal = (K[:, 0, 0] / width).log()
    centre = K[:, 0, 2] / width, K[:, 1, 2] / height
    lens = torch.stack([focal, *centre, K[:, 1, 1] / K[:, 0, 0]], dim=1)
    # 3 cell by cell
    tissue = F.max_pool2d(sample.parts.float(), BLOCK) == 0  # (B, T, h, w)
    flow, back = sample.flow[:, previous], sample.flow[:, current]
    return PairTruth(
        R=T[:, :3, :3],
        t=T[:, :3, 3] * log_typical.exp(),
        lens=lens,
        flow=flow,
        visible=tissue[:, previous] & seen_again(flow, back, tissue[:, current]),
        rigid_flow=rigid_flow(inverse, K, T),
        tissue=tissue[:, previous],
        log_inverse_depth=log_inverse - log_typical[:, None],
    )


def in_cells(x: Tensor) -> Tensor:
    """(B, H, W) to (B, H / 4, W / 4), the mean of the four pixels in the middle of each cell."""
    return F.avg_pool2d(x[:, 1:, 1:], 2, BLOCK)


def rigid_flow(inverse_depth: Tensor, K: Tensor, T: Tensor) -> Tensor:
    """(B, 2, h, w) px that the middles of cells move by.

    Args:
        inverse_depth: (B, h, w) 1 / m.
        K: (B, 3, 3) px.
        T: (B, 4, 4) motion of points into the other camera, m.
    """
    places = cell_places(*inverse_depth.shape[1:]).to(inverse_depth).T  # (2, n)
    rays = torch.linalg.inv(K) @ F.pad(places, (0, 0, 0, 1), value=1.0)
    moved = T[:, :3, :3] @ rays + T[:, :3, 3:] * inverse_depth.flatten(1)[:, None]
    x, y, z = (K @ moved).unbind(dim=1)
    seen = torch.stack([x, y], dim=1) / z.clamp_min(1e-3)[:, None]
    return (seen - places).unflatten(2, inverse_depth.shape[1:])


def seen_again(flow: Tensor, back: Tensor, tissue: Tensor) -> Tensor:
    """(B, h, w) whether places come back to themselves and no instrument hides them there.

    Args:
        flow: (B, 2, h, w) px.
        back: the same from the other image.
        tissue: (B, h, w) bool of the other image.
    """
    height, width = flow.shape[-2:]
    there = cell_places(height, width).to(flow) + flow.flatten(2).transpose(1, 2)
    # -1 and 1 are the outer edges of the image: pixel coordinates count from -1/2
    grid = (2 * there + 1) / (BLOCK * there.new_tensor([width, height])) - 1
    other = torch.cat([back, tissue[:, None].float()], dim=1)
    found = F.grid_sample(
        other, grid.unflatten(1, (height, width)), padding_mode="border", align_corners=False
    )
    inside = (grid.abs() < 1).all(dim=2).unflatten(1, (height, width))
    return inside & (found[:, 2] > 0.99) & ((flow + found[:, :2]).norm(dim=1) < ROUND_TRIP)


def mirrored(sample: Sample, rows: bool, columns: bool) -> Sample:
    """The same scene as a mirror shows it: up-down, left-right, both or not."""
    height, width = sample.images.shape[-2:]
    signs = sample.poses.new_tensor([-1.0 if columns else 1.0, -1.0 if rows else 1.0, 1.0, 1.0])
    K = sample.intrinsics.clone()
    if columns:
        K[:, 0, 2] = width - 1 - K[:, 0, 2]
    if rows:
        K[:, 1, 2] = height - 1 - K[:, 1, 2]
    return Sample(
        images=flipped(sample.images, rows, columns),
        depth=flipped(sample.depth, rows, columns),
        parts=flipped(sample.parts, rows, columns),
        intrinsics=K,
        poses=signs[:, None] * sample.poses * signs,  # S T S with S = diag(signs)
        flow=flipped(sample.flow, rows, columns) * signs[:2, None, None],
    )
