"""Where the rays of moving cameras meet a deforming relief."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Deformation, Vector
from endosfm3d_ros.datasets.simulation.anatomy.relief import Relief
from endosfm3d_ros.datasets.simulation.camera.views import Cameras

COARSE = 4  # pixels per ray of the first search
TEXELS_PER_STEP = 2.0  # of parallax: a longer step could jump over a fold
MAX_STEPS = 96
FINE_STEPS = 5  # within the bracket that the neighbourhood's coarse rays give
REFINEMENTS = 6

Beyond = Callable[["_Line", Tensor, int], Tensor]


@dataclass(frozen=True)
class Hits:
    """What each pixel sees of the tissue; planes of (N, T, H, W)."""

    depth: Tensor  # metres along the camera's z
    rest: Vector  # material point, world frame, metres


def cast(relief: Relief, deformation: Deformation, cameras: Cameras) -> Hits:
    """Meet every ray with the tissue.

    A ray is a straight line in (a, b, 1/z) of the reference frame. Coarse rays are searched from
    near to far in steps of about two texels of parallax; every ray is then searched between the
    brackets of its coarse neighbours, and the crossing is enclosed to float precision.

    Args:
        relief: N scenes at rest.
        deformation: where the tissue has moved.
        cameras: N scenes of T views.
    """
    line = _Line.through(cameras)
    steps = _steps(relief, deformation, cameras)
    if not steps:
        w = relief.lookup(relief.inverse_depth, line.a, line.b)[:, 0]
        return Hits(line.depth(w), line.at(w))

    def beyond(line: _Line, w: Tensor, iterations: int) -> Tensor:
        """Positive where the points at inverse depths w lie behind the tissue."""
        x, y, z = deformation.undo(line.at(w), iterations) if iterations else line.at(w)
        inverse = 1 / z
        return relief.lookup(relief.inverse_depth, x * inverse, y * inverse)[:, 0] - inverse

    rough = 0 if deformation.still else 2
    exact = 0 if deformation.still else deformation.iterations
    bounds = _bounds(relief, deformation)
    coarse = line.pooled()
    near, far = _searched(beyond, coarse, *(b.expand_as(coarse.a) for b in bounds), steps, rough)
    near, far = _widened(near, -far, line.a.shape)
    near = torch.where(beyond(line, near, rough) > 0, bounds[0], near)
    far = torch.where(beyond(line, -far, rough) > 0, -far, bounds[1])
    front, back = _searched(beyond, line, near, far, FINE_STEPS, rough)
    w = _enclose(beyond, line, front, back, exact)
    rest = deformation.undo(line.at(w), exact) if exact else line.at(w)
    return Hits(line.depth(w), rest)


def _bounds(relief: Relief, deformation: Deformation) -> tuple[Tensor, Tensor]:
    """Inverse depths before and behind all tissue, (N, 1, 1, 1)."""
    rho = relief.inverse_depth.flatten(1)
    slack = 1.02 + deformation.reach * rho.amax(1)
    wide = (slice(None), None, None, None)
    return (rho.amax(1) * slack)[wide], (rho.amin(1) / slack)[wide]


def _searched(
    beyond: Beyond, line: _Line, near: Tensor, far: Tensor, steps: int, loops: int
) -> tuple[Tensor, Tensor]:
    """Neighbouring samples before and behind the first crossing between two inverse depths."""
    front, back = near.clone(), far.clone()
    searching = torch.ones_like(front, dtype=torch.bool)
    for i in range(1, steps):
        w = near + (far - near) * (i / steps)
        behind = beyond(line, w, loops) > 0
        back = torch.where(searching & behind, w, back)
        searching &= ~behind
        front = torch.where(searching, w, front)
    return front, back


def _widened(near: Tensor, back: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """The nearest front and the farthest (negated) back around every full-size ray."""
    both = torch.cat([near, back])
    around = max_pool2d(both.flatten(0, 1)[:, None], 3, 1, 1)
    full = interpolate(around, scale_factor=COARSE, mode="nearest")[..., : shape[2], : shape[3]]
    first, second = full[:, 0].reshape(2, *shape)
    return first, second


def _enclose(beyond: Beyond, line: _Line, front: Tensor, back: Tensor, loops: int) -> Tensor:
    """The crossing between two inverse depths, by the Illinois rule of false position."""
    g_front, g_back = beyond(line, front, loops), beyond(line, back, loops)
    for _ in range(REFINEMENTS):
        span = (g_back - g_front).clamp(min=1e-12)
        w = front - (back - front) * (g_front / span).clamp(-1, 0)
        g = beyond(line, w, loops)
        behind = g > 0
        g_front = torch.where(behind, 0.5 * g_front, g)
        g_back = torch.where(behind, g, 0.5 * g_back)
        front, back = torch.where(behind, front, w), torch.where(behind, w, back)
    return w


@dataclass(frozen=True)
class _Line:
    """Rays as (a, b) = (a, b)_0 + w (slope_a, slope_b) over inverse depth w of the world."""

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
        return self.a * z + self.slope_a, self.b * z + self.slope_b, z

    def depth(self, w: Tensor) -> Tensor:
        """Metres along the camera's z."""
        return (1 / w - self.oz) / self.dz

    def pooled(self) -> _Line:
        """One ray for each block of `COARSE` by `COARSE` pixels."""
        planes = (self.a, self.b, self.dz, self.slope_a, self.slope_b)
        a, b, dz, slope_a, slope_b = (
            avg_pool2d(plane, COARSE, ceil_mode=True, count_include_pad=False) for plane in planes
        )
        return _Line(a, b, self.oz, dz, slope_a, slope_b)


def _steps(relief: Relief, deformation: Deformation, cameras: Cameras) -> int:
    """How many steps keep each below `TEXELS_PER_STEP` of parallax; 0 if there is none."""
    offset = cameras.poses[:, :, :3, 3].norm(dim=-1).amax(-1) + deformation.reach
    rho = relief.inverse_depth.flatten(1)
    texels = relief.inverse_depth.shape[-1] / (2 * relief.extent[:, 0])
    parallax = float((offset * (rho.amax(1) - rho.amin(1)) * texels).max())
    if parallax < 1e-6 and deformation.still:
        return 0
    return min(MAX_STEPS, max(2, round(parallax / TEXELS_PER_STEP)))
