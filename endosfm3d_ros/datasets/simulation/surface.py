"""The tissue as a height field z = h(x, y, t), and where a viewing ray meets it.

World frame: optical axes of the first camera, metres. The sum of all slopes is kept below one,
so every ray within 45 degrees of the z axis meets the surface exactly once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

WAVELENGTHS = (0.150, 0.070, 0.045, 0.028, 0.017, 0.011)  # metres; lobes down to small folds
STEEPEST = 0.85  # sum of the slopes of all waves
FALL = (0.24, 0.19, 0.24, 0.18, 0.09, 0.06)  # share of each wave in the slope


@dataclass(frozen=True)
class Breathing:
    """A bump that rises towards the camera and drags the tissue sideways, once a period."""

    rise: float = 0.0  # metres at the crest
    drag: float = 0.0  # metres sideways at the crest
    period: float = 4.0  # seconds; 15 breaths a minute
    radius: float = 0.030  # metres, one sigma
    centre: tuple[float, float] = (0.006, -0.004)
    direction: tuple[float, float] = (0.8, 0.6)

    def phase(self, time: float) -> float:
        """0 at rest, 1 at the crest; starts at rest."""
        return 0.5 - 0.5 * math.cos(2 * math.pi * time / self.period)


class HeightField:
    """Waves of random direction around a distance, with a breathing bump.

    Args:
        distance: mean z of the surface in metres.
        relief: 0 flat .. 1 as hilly as `STEEPEST` allows.
        breathing: how the surface moves.
        generator: source of the directions and phases.
    """

    def __init__(
        self, distance: float, relief: float, breathing: Breathing, generator: torch.Generator
    ) -> None:
        self.distance = distance
        self.breathing = breathing
        angle, self._phase = 2 * math.pi * torch.rand(2, len(WAVELENGTHS), generator=generator)
        wavenumber = 2 * math.pi / torch.tensor(WAVELENGTHS)
        self._kx, self._ky = wavenumber * angle.cos(), wavenumber * angle.sin()
        self._amplitude = relief * STEEPEST * torch.tensor(FALL) / wavenumber

    def height(self, x: Tensor, y: Tensor, time: float) -> tuple[Tensor, Tensor, Tensor]:
        """h and its slopes dh/dx, dh/dy at points of any shape."""
        h = torch.full_like(x, self.distance)
        hx, hy = torch.zeros_like(x), torch.zeros_like(x)
        waves = torch.stack([self._kx, self._ky, self._phase, self._amplitude], dim=1)
        for kx, ky, phase, amplitude in waves[self._amplitude != 0].tolist():
            argument = (kx * x).add_(y, alpha=ky).add_(phase)
            cosine = argument.cos()
            h.add_(argument.sin_(), alpha=amplitude)
            hx.add_(cosine, alpha=amplitude * kx)
            hy.add_(cosine, alpha=amplitude * ky)
        rise = -self.breathing.rise * self.breathing.phase(time)
        if rise:
            bump, dx, dy = self._bump(x, y)
            slope = -rise / self.breathing.radius**2
            h.add_(bump, alpha=rise)
            hx.add_(bump * dx, alpha=slope)
            hy.add_(bump * dy, alpha=slope)
        return h, hx, hy

    def material(self, x: Tensor, y: Tensor, time: float) -> tuple[Tensor, Tensor]:
        """Surface coordinates (metres) of the tissue that is at (x, y) now."""
        drag = self.breathing.drag * self.breathing.phase(time)
        if not drag:
            return x, y
        bump = self._bump(x, y)[0]
        across, down = self.breathing.direction
        return x - drag * across * bump, y - drag * down * bump

    def _bump(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """exp(-r^2 / 2 sigma^2) and the offsets from its centre."""
        dx, dy = x - self.breathing.centre[0], y - self.breathing.centre[1]
        squared = (dx * dx).add_(dy * dy)
        return squared.mul_(-0.5 / self.breathing.radius**2).exp_(), dx, dy


@dataclass(frozen=True)
class Hit:
    """Where the rays of one image meet the surface; every tensor is (H, W)."""

    depth: Tensor  # along the ray's z = 1 direction, metres
    x: Tensor
    y: Tensor
    z: Tensor
    slope_x: Tensor
    slope_y: Tensor


def cast(field: HeightField, origin: Tensor, rays: Tensor, time: float) -> Hit:
    """Meet every ray with the surface by Newton's method, coarse image first.

    Two steps at full size from the interpolated coarse solution leave less than 1e-8 m, the
    resolution of float32 at this distance (checked in the tests against bisection).

    Args:
        field: the surface.
        origin: (3) camera centre in the world.
        rays: (3, H, W) directions in the world, scaled so that the camera's z is one.
        time: seconds.
    """
    height, width = rays.shape[1:]
    small = interpolate(rays[None], scale_factor=0.25, mode="bilinear", align_corners=True)[0]
    depth = (field.distance - origin[2]) / small[2]
    for _ in range(6):
        depth = _newton(field, origin, small, depth, time)
    size = (height, width)
    depth = interpolate(depth[None, None], size, mode="bilinear", align_corners=True)[0, 0]
    for _ in range(2):
        depth = _newton(field, origin, rays, depth, time)
    x, y, z = (origin[axis] + depth * rays[axis] for axis in range(3))
    _, slope_x, slope_y = field.height(x, y, time)
    return Hit(depth, x, y, z, slope_x, slope_y)


def _newton(field: HeightField, origin: Tensor, rays: Tensor, depth: Tensor, time: float) -> Tensor:
    """One step towards origin_z + depth * ray_z = h."""
    x, y, z = (origin[axis] + depth * rays[axis] for axis in range(3))
    h, hx, hy = field.height(x, y, time)
    return depth - (z - h) / (rays[2] - hx * rays[0] - hy * rays[1])
