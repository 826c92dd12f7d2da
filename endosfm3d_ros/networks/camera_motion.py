"""From the outputs of the pose network to a camera matrix and a rigid motion (torch, batched)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

AXIS_EPS = 1e-7  # keeps the axis of a zero rotation finite


def focal_and_centre(q: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """(B, 4) network output to raw focal lengths and principal point, each (B, 2) in pixels."""
    size = q.new_tensor([width, height])
    return (q[:, :2] + 0.5) * size, (q[:, 2:] + 0.5) * size


def intrinsics_from_q(q: Tensor, width: int, height: int) -> Tensor:
    """(B, 4) network output to (B, 3, 3) camera matrices in pixels of a width x height image.

    Pixel centres lie at integer coordinates. The softplus keeps focal lengths positive and
    changes none above 14 px.
    """
    focal, centre = focal_and_centre(q, width, height)
    K = torch.diag_embed(F.pad(F.softplus(focal), (0, 1), value=1.0))
    K[:, :2, 2] = centre
    return K


def released_intrinsics(q: Tensor, width: int, height: int) -> Tensor:
    """(B, 4, 4) as the released code computes it, for comparison with it only.

    Its softplus covers the whole upper left 2 x 2 block, so that both off-diagonal elements
    become softplus(0) = ln 2 = 0.693 px.
    """
    focal, centre = focal_and_centre(q, width, height)
    K = torch.eye(4, dtype=q.dtype, device=q.device).repeat(len(q), 1, 1)
    K[:, :2, :2] = F.softplus(torch.diag_embed(focal))
    K[:, :2, 2] = centre
    return K


def rotation_matrix(axisangle: Tensor) -> Tensor:
    """(B, 3) rotation vectors in radians to (B, 3, 3), Rodrigues' formula."""
    angle = axisangle.norm(dim=1)[:, None, None]
    x, y, z = (axisangle[:, :, None] / (angle + AXIS_EPS)).unbind(dim=1)  # each (B, 1)
    zero = torch.zeros_like(x)
    cross = torch.cat([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).unflatten(1, (3, 3))
    axis = torch.cat([x, y, z], dim=1)  # (B, 3)
    identity = torch.eye(3, dtype=axisangle.dtype, device=axisangle.device)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return cos * identity + (1 - cos) * (axis[:, :, None] * axis[:, None]) + sin * cross


def motion_matrix(axisangle: Tensor, translation: Tensor, invert: bool = False) -> Tensor:
    """(B, 4, 4) rigid motion X' = R X + t from (B, 3) and (B, 3), or its inverse."""
    R, t = rotation_matrix(axisangle), translation[:, :, None]
    if invert:
        R, t = R.mT, -R.mT @ t
    T = torch.eye(4, dtype=R.dtype, device=R.device).repeat(len(R), 1, 1)
    T[:, :3, :3] = R
    T[:, :3, 3:] = t
    return T
