"""Camera motion and focal length from a flow field, by weighted least squares.

What a rigid scene of known relative depth shows after a small motion follows from six numbers and
the focal length (perspective projection; Hartley and Zisserman 2004, chapter 6). Depth that was
read from one image errs in the large: tilt, bend and strength of the relief are solved for as
well, as far as the motion tells them. All by a few Gauss-Newton steps, with operations that every
engine has and that gradients pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from endosfm3d_ros.networks.camera_motion import rotation_matrix

SHAPES = 6  # x, y, x^2, xy, y^2, relief
UNKNOWNS = 7 + SHAPES  # rotation vector, translation, ln of the focal length before them


@dataclass(frozen=True)
class RigidMotionConfig:
    """How the equations are solved."""

    steps: int = 5
    robust: float = 1.5  # standard deviations beyond which a place loses its say
    annealing: float = 2.0  # factor on `robust` per step before the last: at first all have a say
    motion_sigma: float = 0.3  # rad and shares of the depth, before anything is seen
    tilt_sigma: float = 0.12  # of ln depth from the middle to an edge; bends alike
    relief_sigma: float = 0.3  # of the factor on ln depth
    nearest: float = 0.1  # of the typical depth that a point is taken to be away at least


class Field(NamedTuple):
    """What is seen at N places of the first image of a pair."""

    places: Tensor  # (B, N, 2) (x, y) px
    flow: Tensor  # (B, N, 2) px to the second image
    spread: Tensor  # (B, N) px that a rigid scene may differ from the flow, one sigma
    log_inverse_depth: Tensor  # (B, N) 1 / shares of the typical depth
    depth_spread: Tensor  # (B, N) of ln depth, one sigma


class Lens(NamedTuple):
    """The camera, square pixels, as it is guessed before the motion."""

    log_focal: Tensor  # (B) ln px
    log_focal_sigma: Tensor  # (B)
    centre: Tensor  # (B, 2) px


class Solution(NamedTuple):
    """The state of the equations."""

    axisangle: Tensor  # (B, 3) rad, points of the first camera to the second
    translation: Tensor  # (B, 3) shares of the typical depth
    log_focal: Tensor  # (B) ln px
    shape: Tensor  # (B, 6) what is added to the ln of the inverse depth, see `shapes`


def solve_rigid_motion(
    field: Field, lens: Lens, repeated: Tensor, config: RigidMotionConfig
) -> Solution:
    """The motion and focal length that explain a field best.

    Args:
        field: what is seen.
        lens: what is believed of the camera.
        repeated: (1) how many places share one error, so that so many count as one.
        config: settings.
    """
    zero = torch.zeros_like(lens.centre[:, :1])
    forms = shapes(field)
    state = Solution(
        zero.expand(-1, 3), zero.expand(-1, 3), lens.log_focal, zero.expand(-1, SHAPES)
    )
    known, prior = flat(state), information(lens, config)
    for step in range(config.steps):
        limit = config.robust * config.annealing ** (config.steps - 1 - step)
        residual, jacobian, along = linearised(field, forms, lens, state, config)
        # 1 rows weighted by the covariance s^2 I + v v^T, whose v is what depth errors move
        variance = field.spread.square()[..., None]  # (B, N, 1)
        longer = variance + along.square().sum(-1, keepdim=True)
        pull = (along * residual).sum(-1, keepdim=True) / longer
        white = (residual - along * pull) / variance  # (B, N, 2)
        distance = (white * residual).sum(-1, keepdim=True)
        weight = 1 / ((1 + distance / limit**2) * repeated)
        share = (along[..., None] * jacobian).sum(-2, keepdim=True) / longer[..., None]
        rows = weight[..., None] * (jacobian - along[..., None] * share) / variance[..., None]
        # 2 normal equations with the prior
        left, right = rows.flatten(1, 2).transpose(1, 2), jacobian.flatten(1, 2)
        A = left @ right + prior[:, :, None] * torch.eye(UNKNOWNS).to(prior)
        b = (left @ residual.flatten(1, 2)[..., None])[..., 0] + prior * (known - flat(state))
        state = moved(state, solved(A, b))
    return state


def shapes(field: Field) -> Tensor:
    """(B, N, 6) how depth may be off in the large; coordinates are -1..1 over the image."""
    log = field.log_inverse_depth
    middle = field.places.mean(dim=1, keepdim=True)
    reach = field.places.amax(dim=1, keepdim=True) - middle
    x, y = ((field.places - middle) / reach).unbind(dim=2)
    relief = log - log.mean(dim=1, keepdim=True)
    return torch.stack([x, y, x * x - 1 / 3, x * y, y * y - 1 / 3, relief], dim=2)


def information(lens: Lens, config: RigidMotionConfig) -> Tensor:
    """(B, 13) what is known beforehand of each unknown: 1 / sigma^2."""
    sigma = lens.log_focal_sigma[:, None]
    motion, tilt, relief = (
        torch.full_like(sigma, value)
        for value in (config.motion_sigma, config.tilt_sigma, config.relief_sigma)
    )
    return torch.cat([motion.expand(-1, 6), sigma, tilt.expand(-1, 5), relief], dim=1) ** -2


def linearised(
    field: Field, forms: Tensor, lens: Lens, state: Solution, config: RigidMotionConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Residuals (B, N, 2) px, their Jacobian (B, N, 2, 13), and (B, N, 2) px per sigma of depth."""
    focal = state.log_focal.exp()[:, None, None]
    R, t = rotation_matrix(state.axisangle), state.translation[:, None]
    # 1 points of the first camera at inverse depth 1, seen from the second
    plane = (field.places - lens.centre[:, None]) / focal  # (B, N, 2)
    slopes = plane @ R[:, :, :2].transpose(1, 2)
    turned = slopes + R[:, None, :, 2]
    log = field.log_inverse_depth + (forms * state.shape[:, None]).sum(dim=2)
    rho = log.exp()[..., None]
    points = turned + rho * t
    z = points[..., 2:].clamp_min(config.nearest)
    seen = points[..., :2] / z
    residual = field.places + field.flow - lens.centre[:, None] - focal * seen
    # 2 d pixel / d point, one row for x and one for y
    scale = focal / z
    nothing = torch.zeros_like(scale)
    x = torch.cat([scale, nothing, -scale * seen[..., :1]], dim=-1)
    y = torch.cat([nothing, scale, -scale * seen[..., 1:]], dim=-1)
    rows = torch.stack([x, y], dim=2)  # (B, N, 2, 3)
    # 3 by rotation (row . (w x point) = w . (point x row)), translation, focal length and shape
    by_rotation = crossed(turned[:, :, None], rows)
    by_translation = rho[..., None] * rows
    by_focal = focal * seen - (rows * slopes[:, :, None]).sum(-1)
    by_depth = (by_translation * t[:, None]).sum(-1)
    by_shape = by_depth[..., None] * forms[:, :, None]
    jacobian = torch.cat([by_rotation, by_translation, by_focal[..., None], by_shape], dim=-1)
    return residual, jacobian, by_depth * field.depth_spread[..., None]


def crossed(a: Tensor, b: Tensor) -> Tensor:
    """Cross products along the last axis."""
    a1, a2, a3 = a.unbind(-1)
    b1, b2, b3 = b.unbind(-1)
    return torch.stack([a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, a1 * b2 - a2 * b1], dim=-1)


def solved(A: Tensor, b: Tensor) -> Tensor:
    """x of A x = b by Gauss-Jordan elimination, for positive definite (B, 13, 13) and (B, 13)."""
    # unknowns of the same size first: rotations and focal lengths differ by orders of magnitude
    scale = (A * torch.eye(UNKNOWNS).to(A)).sum(2).rsqrt()
    M = torch.cat([A * scale[:, :, None] * scale[:, None], (b * scale)[..., None]], dim=2)
    for k, unit in enumerate(torch.eye(UNKNOWNS).to(b)):
        row = M[:, k : k + 1] / M[:, k : k + 1, k : k + 1]
        M = M - (M[:, :, k : k + 1] - unit[:, None]) * row
    return scale * M[..., -1]


def flat(state: Solution) -> Tensor:
    """(B, 13)."""
    return torch.cat([*state[:2], state.log_focal[:, None], state.shape], dim=1)


def moved(state: Solution, step: Tensor) -> Solution:
    """The state after a step (B, 13). The turn comes after the earlier one (to first order)."""
    turn = step[:, :3] - 0.5 * crossed(state.axisangle, step[:, :3])
    return Solution(
        axisangle=state.axisangle + turn,
        translation=state.translation + step[:, 3:6],
        log_focal=state.log_focal + step[:, 6],
        shape=state.shape + step[:, 7:],
    )
