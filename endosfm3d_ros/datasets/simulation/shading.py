"""Light from a lamp at the left eye on wet tissue, as an 8-bit camera sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.surface import Hit


@dataclass(frozen=True)
class Light:
    """Lamp, surface film and sensor."""

    reference: float = 0.050  # metres at which a white patch facing the lamp is at full scale
    diffuse_gain: float = 1.15
    film: float = 0.0  # strength of the wet film's reflection, 0 = dry
    film_sharpness: float = 350.0  # exponent of the highlight
    sheen: float = 0.05  # strength of the broad lobe relative to `film`
    relief: float = 0.10  # how far the fine relief tilts the film
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
    facing = (normal * to_lamp).sum(0).clamp_(min=0)
    received = (light.reference / distance) ** 2
    halfway = to_lamp + to_eye
    mirror = ((normal * halfway).sum(0) / halfway.norm(dim=0)).clamp_(0, 1)
    lobe = mirror**light.film_sharpness + light.sheen * mirror**24
    linear = light.diffuse_gain * texture[:3] * (facing * received)
    linear += light.film * lobe * received
    return linear.clamp_(0, 1).pow_(1 / light.gamma).mul_(255)


def develop(image: Tensor, light: Light, generator: torch.Generator) -> Tensor:
    """(H, W, 3) uint8: sensor noise added, rounded."""
    if light.noise:
        image = image + light.noise * torch.randn(image.shape, generator=generator)
    return image.round().clamp_(0, 255).byte().permute(1, 2, 0).contiguous()


def _direction(hit: Hit, target: Tensor) -> tuple[Tensor, Tensor]:
    """(3, H, W) unit vectors from the surface to a point, and (H, W) distances."""
    offset = torch.stack([target[0] - hit.x, target[1] - hit.y, target[2] - hit.z])
    distance = offset.norm(dim=0)
    return offset / distance, distance


def _normal(hit: Hit, relief: Tensor, strength: float) -> Tensor:
    """(3, H, W) unit normals towards the camera side (-z)."""
    normal = torch.stack(
        [
            hit.slope_x + strength * relief[0],
            hit.slope_y + strength * relief[1],
            -torch.ones_like(hit.x),
        ]
    )
    return normal / normal.norm(dim=0)
