"""Where the rays of moving cameras meet a deforming relief."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.deformation import Deformation, Vector
from endosfm3d_ros.datasets.simulation.relief import Relief

TEXELS_PER_STEP = 2.5  # of parallax: a longer step could jump over a fold
MAX_STEPS = 64
REFINEMENTS = 6

Beyond = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Cameras:
    """N scenes of T views, pinhole."""

    intrinsics: Tensor  # (N, T, 3, 3) pixels
    poses: Tensor  # (N, T, 4, 4) camera in world
    height: int
    width: int

    def rays(self) -> Vector:
        """Camera-frame directions with z = 1, planes of (N, T, H, W)."""
        K = self.intrinsics[..., None, None]
        columns = torch.arange(self.width, device=K.device, dtype=torch.float32)
        rows = torch.arange(self.height, device=K.device, dtype=torch.float32)[:, None]
        x = ((columns - K[:, :, 0, 2]) / K[:, :, 0, 0]).expand(-1, -1, self.height, -1)
        y = ((rows - K[:, :, 1, 2]) / K[:, :, 1, 1]).expand(-1, -1, -1, self.width)
        return x, y, torch.ones_like(x)

    def to_world(self, vectors: Vector) -> Vector:
        """Camera-frame directions turned into the world."""
        return _turned(self.poses[:, :, :3, :3], vectors)

    def to_camera(self, vectors: Vector) -> Vector:
        """World directions turned into the cameras."""
        return _turned(self.poses[:, :, :3, :3].mT, vectors)


def _turned(R: Tensor, vectors: Vector) -> Vector:
    rows = R[..., None, None]
    return tuple(sum(rows[:, :, i, j] * vectors[j] for j in range(3)) for i in range(3))


@dataclass(frozen=True)
class Hits:
    """What each pixel sees of the tissue; planes of (N, T, H, W)."""

    depth: Tensor  # metres along the camera's z
    rest: Vector  # material point, world frame, metres


def cast(relief: Relief, deformation: Deformation, cameras: Cameras) -> Hits:
    """Meet every ray with the tissue.

    A ray is a straight line in (a, b, 1/z) of the reference frame. It is searched from near to
    far in steps of about one texel of parallax, then the crossing is enclosed to float precision.

    Args:
        relief: N scenes at rest.
        deformation: where the tissue has moved.
        cameras: N scenes of T views.
    """
    line = _Line.through(cameras)
    steps = _steps(relief, deformation, cameras)
    if not steps:
        w = relief.lookup(relief.inverse_depth, line.a, line.b)[:, 0]
        return Hits(1 / w / line.dz, line.at(w))
    rho = relief.inverse_depth.flatten(1)
    slack = 1.02 + (_reach(deformation) * rho.amax(1))[:, None, None, None]
    far, near = rho.amin(1)[:, None, None, None] / slack, rho.amax(1)[:, None, None, None] * slack

    def beyond(w: Tensor, iterations: int) -> Tensor:
        """Positive where the point at inverse depth w lies behind the tissue."""
        x, y, z = deformation.undo(line.at(w), iterations)
        inverse = 1 / z
        return relief.lookup(relief.inverse_depth, x * inverse, y * inverse)[:, 0] - inverse

    loops = 0 if deformation.still else 1
    front, back = near.expand_as(line.a).clone(), far.expand_as(line.a).clone()
    searching = torch.ones_like(front, dtype=torch.bool)
    for i in range(1, steps + 1):
        w = near + (far - near) * (i / steps)
        behind = beyond(w.expand_as(line.a), loops) > 0
        back = torch.where(searching & behind, w, back)
        front = torch.where(searching & ~behind, w, front)
        searching &= ~behind
    w = _enclose(beyond, front, back, 4 * loops)
    rest = deformation.undo(line.at(w), 5 * loops)
    return Hits((1 / w - line.oz) / line.dz, rest)


def _enclose(beyond: Beyond, front: Tensor, back: Tensor, loops: int) -> Tensor:
    """The crossing between two inverse depths, by the Illinois rule of false position."""
    g_front, g_back = beyond(front, loops), beyond(back, loops)
    w = front
    for _ in range(REFINEMENTS):
        w = torch.where(
            g_back > g_front, front + (back - front) * g_front / (g_front - g_back), back
        )
        g = beyond(w, loops)
        behind = g > 0
        g_front = torch.where(behind, 0.5 * g_front, g)
        g_back = torch.where(behind, g, 0.5 * g_back)
        front, back = torch.where(behind, front, w), torch.where(behind, w, back)
    return w


@dataclass(frozen=True)
class _Line:
    """A ray as (a, b) = (a, b)_0 + w (a, b)_1 over inverse depth w of the world."""

    a: Tensor
    b: Tensor
    oz: Tensor
    dz: Tensor
    slope_a: Tensor
    slope_b: Tensor

    @classmethod
    def through(cls, cameras: Cameras) -> _Line:
        x, y, z = cameras.to_world(cameras.rays())
        ox, oy, oz = (cameras.poses[:, :, i, 3, None, None] for i in range(3))
        a, b = x / z, y / z
        return cls(a, b, oz, z, ox - oz * a, oy - oz * b)

    def at(self, w: Tensor) -> Vector:
        """World points at inverse depths."""
        z = 1 / w
        return (self.a * z + self.slope_a, self.b * z + self.slope_b, z)


def _reach(deformation: Deformation) -> Tensor:
    """(N) metres that any point may move."""
    length = deformation.vector.norm(dim=-1)[:, None] * deformation.activation.abs()
    return length.sum(-1).amax(-1)


def _steps(relief: Relief, deformation: Deformation, cameras: Cameras) -> int:
    """How many steps keep each below `TEXELS_PER_STEP` of parallax; 0 if there is none."""
    offset = cameras.poses[:, :, :3, 3].norm(dim=-1).amax(-1) + _reach(deformation)
    rho = relief.inverse_depth.flatten(1)
    texels = relief.inverse_depth.shape[-1] / (2 * relief.extent[:, 0])
    parallax = float((offset * (rho.amax(1) - rho.amin(1)) * texels).max())
    return min(MAX_STEPS, max(2, round(parallax / TEXELS_PER_STEP))) if parallax > 1e-6 else 0
