"""Rays against conical rods and boxes, in each solid's own frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROD, BOX = 0, 1


@dataclass(frozen=True)
class SolidHits:
    """First meeting per ray; infinite depth where there is none."""

    depth: Tensor  # (P, R) in units of the ray's direction
    normal: Tensor  # (P, R, 3) in the solid's frame, not normalised
    along: Tensor  # (P, R) metres along the axis
    around: Tensor  # (P, R) metres across, for surface patterns


def meet_rods(origin: Tensor, rays: Tensor, size: Tensor) -> SolidHits:
    """Capped cones of elliptic section from z = 0 to z = length.

    Args:
        origin: (P, 1, 3) ray origins in the frame of each rod, metres.
        rays: (P, R, 3) ray directions in that frame.
        size: (P, 4) radius at z = 0, radius at the end, length, height over width.
    """
    first, last, length, flat = (size[:, i, None] for i in range(4))
    slope = (last - first) / length
    ox, oy, oz = origin.unbind(-1)
    dx, dy, dz = rays.unbind(-1)
    oy, dy = oy / flat, dy / flat
    radius = first + slope * oz
    A = dx * dx + dy * dy - (slope * dz).square()
    A = torch.where(A.abs() < 1e-9, 1e-9, A)
    B = ox * dx + oy * dy - slope * dz * radius
    C = ox * ox + oy * oy - radius.square()
    root = (B * B - A * C).clamp_(min=0).sqrt_()
    misses = B * B < A * C
    best, cap = torch.full_like(dx, torch.inf), torch.zeros_like(dx)
    for sign in (-1.0, 1.0):
        s = (-B + sign * root) / A
        z = oz + s * dz
        good = (s > 0) & (z >= 0) & (z <= length) & (first + slope * z >= 0) & ~misses
        best = torch.where(good & (s < best), s, best)
    for plane, limit, facing in ((0.0, first, -1.0), (length, last, 1.0)):
        s = (plane - oz) / torch.where(dz.abs() < 1e-9, 1e-9, dz)
        inside = (ox + s * dx).square() + (oy + s * dy).square() <= limit.square()
        good = (s > 0) & inside & (s < best)
        best, cap = torch.where(good, s, best), torch.where(good, facing, cap)
    s = torch.where(best.isfinite(), best, 0.0)
    x, y, z = ox + s * dx, oy + s * dy, oz + s * dz
    side = cap == 0
    normal = torch.stack(
        [
            torch.where(side, x, 0.0),
            torch.where(side, y / flat, 0.0),
            torch.where(side, -slope * (first + slope * z), cap),
        ],
        -1,
    )
    return SolidHits(best, normal, z, y * flat)


def meet_boxes(origin: Tensor, rays: Tensor, size: Tensor) -> SolidHits:
    """Boxes |x| <= half width, |y| <= half height, 0 <= z <= length.

    Args:
        origin: (P, 1, 3) ray origins in the frame of each box, metres.
        rays: (P, R, 3) ray directions in that frame.
        size: (P, 4) half width, half height, length, unused.
    """
    half = torch.stack([size[:, 0], size[:, 1], 0.5 * size[:, 2]], -1)[:, None]
    middle = torch.stack(
        [torch.zeros_like(half[..., 0]), torch.zeros_like(half[..., 0]), half[..., 2]], -1
    )
    rays = torch.where(rays.abs() < 1e-9, 1e-9, rays)
    centred = origin - middle
    one, two = (-half - centred) / rays, (half - centred) / rays
    enter, axis = torch.minimum(one, two).max(-1)
    leave = torch.maximum(one, two).amin(-1)
    depth = torch.where((enter < leave) & (enter > 0), enter, torch.inf)
    s = torch.where(depth.isfinite(), depth, 0.0)
    point = origin + s[..., None] * rays
    normal = torch.nn.functional.one_hot(axis, 3) * -rays.sign()
    return SolidHits(depth, normal, point[..., 2], point[..., 1])
