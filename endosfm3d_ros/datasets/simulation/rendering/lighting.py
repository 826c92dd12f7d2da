"""Lamps beside the camera on wet tissue: what reaches the sensor, linear and unclipped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Vector
from endosfm3d_ros.datasets.simulation.rendering.appearance import Surface

WRAP = (0.30, 0.14, 0.10)  # light that seeps around the terminator, most of it red
SURROUNDINGS = (0.62, 0.42, 0.40)  # mean colour of what metal reflects


@dataclass(frozen=True)
class Lamps:
    """L lamps of each of N scenes, in the camera frame."""

    position: Tensor  # (N, L, 3) metres
    power: Tensor  # (N, L) relative; zero is off
    beam: Tensor  # (N) exponent of the cosine off the axis
    ambient: Tensor  # (N) light that comes back from the surroundings, share of the mean
    crease: Tensor  # (N) how much creases darken


def dot(a: Vector, b: Vector) -> Tensor:
    return (a[0] * b[0]).addcmul_(a[1], b[1]).addcmul_(a[2], b[2])


def unit(vector: Vector) -> tuple[Vector, Tensor]:
    """Unit vectors and their former lengths."""
    inverse = dot(vector, vector).clamp_(min=1e-20).rsqrt_()
    return tuple(plane * inverse for plane in vector), inverse.reciprocal()


def shade(
    surface: Surface, position: Vector, normal: Vector, open_: Tensor, lit: Tensor, lamps: Lamps
) -> Tensor:
    """(N, 3, T, H, W) linear light.

    Lambert's law with a soft terminator and inverse-square falloff; Blinn's half-vector lobe for
    the film, which feels the fine relief.

    Args:
        surface: what the light meets.
        position: camera frame, metres.
        normal: camera frame, unit.
        open_: (N, T, H, W) 0 deep in a crease .. 1.
        lit: (N, T, H, W) share of the light that the tools let through.
        lamps: of N scenes.
    """
    to_eye = unit(tuple(-plane for plane in position))[0]
    film = unit((normal[0] + surface.tilt_x, normal[1] + surface.tilt_y, normal[2]))[0]
    diffuse = [torch.zeros_like(open_) for _ in range(3)]
    gleam = torch.zeros_like(open_)
    for lamp in range(lamps.power.shape[1]):
        received, to_lamp = _received(position, lamps, lamp)
        slope = dot(film, to_lamp).mul_(0.35).add_(dot(normal, to_lamp), alpha=0.65)
        for plane, wrap in zip(diffuse, WRAP):
            plane.addcmul_((slope + wrap).clamp_(min=0).div_(1 + wrap), received)
        halfway = unit(tuple(a + b for a, b in zip(to_lamp, to_eye)))[0]
        mirror = dot(film, halfway).clamp_(0, 1)
        lobe = (surface.sharpness * (mirror - 1)).exp_()
        lobe += 0.06 * (14 * (mirror - 1)).exp_()
        gleam.addcmul_(lobe, received)
    shadow = lit * torch.lerp(torch.ones_like(open_), open_, _wide(lamps.crease))
    gleam.mul_(surface.gloss).mul_(lit)
    ambient = _wide(lamps.ambient) * diffuse[0].mean(dim=(-2, -1), keepdim=True)
    reflected = _reflected(normal, to_eye, surface.mirror) * diffuse[0].mean((-2, -1), keepdim=True)
    channels = [
        color * (light * shadow + ambient * open_) + gleam + hue * reflected
        for color, light, hue in zip(surface.color, diffuse, SURROUNDINGS)
    ]
    return torch.stack(channels, 1)


def _received(position: Vector, lamps: Lamps, lamp: int) -> tuple[Tensor, Vector]:
    """Irradiance facing one lamp, in units of one lamp at 50 mm, and the way to it."""
    place = lamps.position[:, lamp].unbind(-1)
    to_lamp, distance = unit(tuple(_wide(p) - plane for p, plane in zip(place, position)))
    received = _wide(lamps.power[:, lamp]) * (0.05 / distance).square_()
    off_axis = (-to_lamp[2]).clamp_(min=1e-3).log_().mul_(_wide(lamps.beam)).exp_()
    return received.mul_(off_axis), to_lamp


def _reflected(normal: Vector, to_eye: Vector, mirror: Tensor) -> Tensor:
    """Surroundings of bright and dark stripes, seen in metal."""
    facing = 2 * dot(normal, to_eye)
    x, y = facing * normal[0] - to_eye[0], facing * normal[1] - to_eye[1]
    return (5 * x + 8 * y).sin_().add_(1).square_() * mirror


def _wide(values: Tensor) -> Tensor:
    """(N) against planes of (N, T, H, W)."""
    return values[:, None, None, None]
