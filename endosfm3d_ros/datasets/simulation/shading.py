"""Light from a lamp at the left eye on wet tissue, as an 8-bit camera sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.surface import Hit

Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z planes of (H, W)


@dataclass(frozen=True)
class Light:
    """Lamp, surface film and sensor."""

    reference: float = 0.050  # metres at which a white patch facing the lamp is at full scale
    diffuse_gain: float = 1.15
    film: float = 0.0  # strength of the wet film's reflection, 0 = dry
    film_sharpness: float = 220.0  # exponent of the highlight
    sheen: float = 0.05  # strength of the broad lobe relative to `film`
    relief: float = 0.13  # how far the fine relief tilts the film
    noise: float = 0.0  # grey levels, one sigma, after gamma
    gamma: float = 2.2


def shade(hit: Hit, texture: Tensor, eye: Tensor, lamp: Tensor, light: Light) -> Tensor:
    """(3, H, W) float 0..255 image, gamma-coded, not yet rounded.

    Lambert's law and inverse-square falloff for the tissue; Blinn's half-vector lobe for the
    film. Only the shading feels the fine relief, the geometry stays the height field's.

    Args:
        hit: the surface seen by each pixel.
        texture: (5, H, W) reflectances and relief slopes.
        eye: (3) camera centre in the world.
        lamp: (3) lamp in the world.
        light: lamp, film and sensor.
    """
    to_lamp, distance = _direction(hit, lamp)
    to_eye, _ = _direction(hit, eye)
    normal = _normal(hit, texture[3:], light.relief)
    received = (light.reference / distance).square_()
    linear = texture[:3] * (light.diffuse_gain * _dot(normal, to_lamp).clamp_(min=0) * received)
    if light.film:
        halfway = _unit(tuple(a + b for a, b in zip(to_lamp, to_eye)))[0]
        mirror = _dot(normal, halfway).clamp_(0, 1)
        lobe = mirror**light.film_sharpness + light.sheen * mirror**24
        linear += light.film * lobe.mul_(received)
    return linear.clamp_(0, 1).pow_(1 / light.gamma).mul_(255)


def develop(image: Tensor, light: Light, generator: torch.Generator) -> Tensor:
    """(H, W, 3) uint8: sensor noise added, rounded."""
    if light.noise:
        image = image + light.noise * torch.randn(image.shape, generator=generator)
    return image.round().clamp_(0, 255).byte().permute(1, 2, 0).contiguous()


def _direction(hit: Hit, target: Tensor) -> tuple[Vector, Tensor]:
    """Unit vectors from the surface to a point, and (H, W) distances."""
    return _unit((target[0] - hit.x, target[1] - hit.y, target[2] - hit.z))


def _normal(hit: Hit, relief: Tensor, strength: float) -> Vector:
    """Unit normals towards the camera side (-z)."""
    down_x = torch.add(hit.slope_x, relief[0], alpha=strength)
    down_y = torch.add(hit.slope_y, relief[1], alpha=strength)
    return _unit((down_x, down_y, torch.full_like(down_x, -1.0)))[0]


# Three (H, W) planes instead of one (3, H, W) tensor: torch reduces a leading axis slowly.


def _dot(a: Vector, b: Vector) -> Tensor:
    return (a[0] * b[0]).addcmul_(a[1], b[1]).addcmul_(a[2], b[2])


def _unit(vector: Vector) -> tuple[Vector, Tensor]:
    """Unit vectors and their (H, W) former lengths."""
    length = _dot(vector, vector).sqrt_()
    x, y, z = (plane / length for plane in vector)
    return (x, y, z), length
