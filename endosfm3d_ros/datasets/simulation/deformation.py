"""How tissue moves: a sum of smooth bumps, each with a course in time.

A material point X (the tissue at rest) is found at X + u(X, t) with
u = sum_j activation_j(t) * vector_j * exp(-|X - centre_j|^2 / (2 radius_j^2)).
Breathing, heartbeat and pulling are such bumps; the inverse is found by fixed-point iteration,
which converges because |vector_j| / radius_j is kept below one half.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z planes of equal shape


@dataclass(frozen=True)
class Deformation:
    """J bumps for each of N scenes and T frames, world frame, metres."""

    centre: Tensor  # (N, J, 3)
    vector: Tensor  # (N, J, 3)
    radius: Tensor  # (N, J)
    activation: Tensor  # (N, T, J)

    @property
    def still(self) -> bool:
        """Whether nothing moves at any time."""
        return not bool(self.activation.any())

    def displacement(self, points: Vector) -> Vector:
        """u at material points, planes of (N, T, H, W)."""
        moved = [torch.zeros_like(plane) for plane in points]
        for j in range(self.radius.shape[1]):
            weight = self.weight(j, points)
            for plane, amount in zip(moved, self.vector[:, j].unbind(-1)):
                plane.addcmul_(weight, amount[:, None, None, None])
        return tuple(moved)

    def weight(self, j: int, points: Vector) -> Tensor:
        """Activation times bell of one bump, (N, T, H, W)."""
        centre = self.centre[:, j, :, None, None, None].unbind(1)
        squared = sum((plane - c).square_() for plane, c in zip(points, centre))
        narrow = -0.5 / self.radius[:, j].square()[:, None, None, None]
        return (squared * narrow).exp_() * self.activation[:, :, j, None, None]

    def apply(self, points: Vector) -> Vector:
        """Where material points are."""
        return tuple(plane + u for plane, u in zip(points, self.displacement(points)))

    def undo(self, points: Vector, iterations: int) -> Vector:
        """Which material points are there."""
        rest = points
        for _ in range(iterations):
            rest = tuple(plane - u for plane, u in zip(points, self.displacement(rest)))
        return rest
