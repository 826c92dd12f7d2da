"""The surface of a density volume as a small, closed, coloured mesh."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.networks.lrm import Radiance
from endosfm3d_ros.tools.models.lrm.density import VolumeConfig, density_volume
from endosfm3d_ros.tools.models.lrm.frame import lrm_to_optical
from endosfm3d_ros.tools.shapes.mesh import decimated, outward, without_debris


@dataclass(frozen=True)
class SurfaceConfig:
    """What is kept of the surface."""

    volume: VolumeConfig = field(default_factory=VolumeConfig)
    faces: int = 6000  # at most, after decimation
    debris: float = 0.02  # parts with less of the largest part's area are dropped


def marching_cubes(volume: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) vertices in [-1, 1]^3 and (F, 3) faces of a (N, N, N) density volume by [x, y, z].

    Vertices lie on grid edges by linear interpolation (Lewiner et al. 2003).

    Raises:
        InputError: the density does not cross the threshold.
    """
    from skimage import measure

    low, high = float(volume.min()), float(volume.max())
    if not low < threshold < high:
        raise InputError(
            f"reconstructed density from {low:.3g} to {high:.3g} does not cross {threshold:g}, "
            "so it has no surface"
        )
    vertices, faces, _, _ = measure.marching_cubes(volume, threshold)
    return vertices * (2 / (len(volume) - 1)) - 1, faces


def closed_surface(volume: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """As `marching_cubes`, closed where the object reaches the border of the cube."""
    padded = np.pad(volume, 1)  # there is nothing outside
    vertices, faces = marching_cubes(padded, threshold)
    scale = (len(padded) - 1) / (len(volume) - 1)
    return np.clip(vertices * scale, -1, 1), faces


@torch.inference_mode()
def colors_at(radiance: Radiance, planes: Tensor, vertices: np.ndarray) -> np.ndarray:
    """(V, 3) uint8 RGB at vertices in [-1, 1]^3, truncated as published."""
    _, rgb = radiance(planes, torch.from_numpy(np.asarray(vertices, np.float32)))
    return (255 * rgb).clamp(0, 255).byte().numpy()


def coloured_mesh(
    radiance: Radiance, planes: Tensor, config: SurfaceConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 with optical axes, faces (F, 3) int32 and colours (V, 3) uint8.

    Args:
        radiance: reads the planes.
        planes: (3, C, R, R).
        config: grid and size.

    Raises:
        InputError: there is no surface.
    """
    volume = density_volume(radiance, planes, config.volume)
    vertices, faces = closed_surface(volume, config.volume.threshold)
    vertices, faces = without_debris(vertices, faces, config.debris)
    vertices, faces = decimated(vertices, faces, config.faces)
    colors = colors_at(radiance, planes, vertices)
    optical = lrm_to_optical(vertices).astype(np.float32)
    return optical, outward(optical, faces), colors
