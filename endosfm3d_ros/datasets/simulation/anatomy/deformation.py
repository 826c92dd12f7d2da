"""How tissue moves: smooth bumps with a course in time, and a cut that opens.

A material point X (the tissue at rest) first gives way to the cut, then is moved by
u = sum_j activation_j(t) * vector_j * exp(-|Y - centre_j|^2 / (2 radius_j^2)).
Breathing, heartbeat and pulling are such bumps. The inverse is found by fixed-point iteration,
which converges as fast as |vector_j| / radius_j is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z planes of equal shape

STEEPEST = math.exp(-0.5)  # of a bell, in units of its height over its radius
EXACT = 2e-8  # metres that the inverse may be off


@dataclass(frozen=True)
class Cut:
    """A wound that opens across a line, one per scene; zero width is no cut."""

    centre: Tensor  # (N, 3) metres
    across: Tensor  # (N, 3) unit, tangent to the tissue
    along: Tensor  # (N, 3) unit, tangent to the tissue
    length: Tensor  # (N) metres, one sigma along the line
    depth: Tensor  # (N) metres at the deepest
    fading: Tensor  # (N) metres across after which the tissue stays where it was
    width: Tensor  # (N, T) metres, half the opening

    def undo(self, points: Vector) -> Vector:
        """Material points; those inside the opening come from its line, as deep as the groove."""
        across, opening = self._place(points)
        side, distance = across.sign(), across.abs()
        rest = (distance - opening).clamp(min=0)
        for _ in range(8):
            rest = (distance - opening * (-rest / _wide(self.fading)).exp()).clamp(min=0)
        share = (distance / opening.clamp(min=1e-9)).clamp(max=1)
        groove = (1 - share.square()) * opening / _wide(self.width.amax(1)).clamp(min=1e-9)
        moved = side * rest - across
        outward = torch.linalg.cross(self.along, self.across) * self.depth[:, None]
        return tuple(
            p + moved * _wide(n) + groove * _wide(o)
            for p, n, o in zip(points, self.across.unbind(-1), outward.unbind(-1))
        )

    def apply(self, points: Vector) -> Vector:
        """Where material points are."""
        across, opening = self._place(points)
        moved = across.sign() * opening * (-across.abs() / _wide(self.fading)).exp()
        return tuple(p + moved * _wide(n) for p, n in zip(points, self.across.unbind(-1)))

    def inside(self, points: Vector) -> Tensor:
        """Bool: whether material points are the walls of the open wound."""
        across, opening = self._place(points)
        return (across.abs() < 1e-7) & (opening > 1e-5)

    def _place(self, points: Vector) -> tuple[Tensor, Tensor]:
        """Signed distances from the line and half openings there, metres."""
        offset = [p - _wide(c) for p, c in zip(points, self.centre.unbind(-1))]
        across = sum(o * _wide(n) for o, n in zip(offset, self.across.unbind(-1)))
        along = sum(o * _wide(n) for o, n in zip(offset, self.along.unbind(-1)))
        bell = (-0.5 * (along / _wide(self.length)).square()).exp()
        return across, self.width[:, :, None, None] * bell


@dataclass(frozen=True)
class Deformation:
    """J bumps for each of N scenes and T frames, world frame, metres."""

    centre: Tensor  # (N, J, 3)
    vector: Tensor  # (N, J, 3)
    radius: Tensor  # (N, J)
    activation: Tensor  # (N, T, J)
    cut: Cut | None = None

    @property
    def still(self) -> bool:
        """Whether nothing moves at any time."""
        return self.cut is None and not bool((self.activation * self._lengths()).any())

    @property
    def reach(self) -> Tensor:
        """(N) metres that any point may move."""
        moved = (self._lengths() * self.activation.abs()).sum(-1).amax(-1)
        return moved if self.cut is None else moved + self.cut.width.amax(1) + self.cut.depth

    @property
    def iterations(self) -> int:
        """How many fixed-point steps leave less than `EXACT`."""
        length = self._lengths() * self.activation.abs()
        ratio = float((length / self.radius[:, None]).sum(-1).max()) * STEEPEST
        if ratio < 1e-6:
            return 1
        longest = max(float(length.sum(-1).max()), 2 * EXACT)
        return min(24, math.ceil(math.log(EXACT / longest) / math.log(min(ratio, 0.6))))

    def apply(self, points: Vector) -> Vector:
        """Where material points are, planes of (N, T, H, W)."""
        parted = points if self.cut is None else self.cut.apply(points)
        return tuple(plane + u for plane, u in zip(parted, self._displacement(parted)))

    def undo(self, points: Vector, iterations: int) -> Vector:
        """Which material points are there."""
        rest = points
        for _ in range(iterations):
            rest = tuple(plane - u for plane, u in zip(points, self._displacement(rest)))
        return rest if self.cut is None else self.cut.undo(rest)

    def turned(self, rest: Vector, normal: Vector) -> Vector:
        """Normals of the moved tissue, not normalised: n - sum_j (gradient of bell_j) (v_j . n).

        Exact for one bump up to length (Sherman-Morrison); bumps that overlap are added.

        Args:
            rest: material points.
            normal: unit normals of the tissue at rest.
        """
        result = list(normal)
        for j in range(self.radius.shape[1]):
            pull = sum(n * _wide(v) for n, v in zip(normal, self.vector[:, j].unbind(-1)))
            slope = -self._bell(j, rest) / _wide(self.radius[:, j].square())
            offset = [p - _wide(c) for p, c in zip(rest, self.centre[:, j].unbind(-1))]
            stretch = sum(o * _wide(v) for o, v in zip(offset, self.vector[:, j].unbind(-1)))
            share = pull * slope / (1 + slope * stretch).clamp(min=0.2)
            result = [n - share * o for n, o in zip(result, offset)]
        return tuple(result)

    def _displacement(self, points: Vector) -> Vector:
        moved = [torch.zeros_like(plane) for plane in points]
        for j in range(self.radius.shape[1]):
            weight = self._bell(j, points)
            for plane, amount in zip(moved, self.vector[:, j].unbind(-1)):
                plane.addcmul_(weight, _wide(amount))
        return tuple(moved)

    def _bell(self, j: int, points: Vector) -> Tensor:
        """Activation times bell of one bump, (N, T, H, W)."""
        centre = self.centre[:, j].unbind(-1)
        squared = sum((plane - _wide(c)).square_() for plane, c in zip(points, centre))
        narrow = _wide(-0.5 / self.radius[:, j].square())
        return (squared * narrow).exp_() * self.activation[:, :, j, None, None]

    def _lengths(self) -> Tensor:
        return self.vector.norm(dim=-1)[:, None]


def _wide(values: Tensor) -> Tensor:
    """(N) against planes of (N, T, H, W)."""
    return values[:, None, None, None]
