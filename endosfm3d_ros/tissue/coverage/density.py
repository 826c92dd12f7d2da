"""How close together Gaussians should lie: where the image has detail, within a fixed number.

A view is worth about the same number of Gaussians whatever it shows. Vessels and wrinkles get
many small ones, plain tissue few large ones; the factor between detail and spacing is chosen so
that they add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class DensityConfig:
    """Lengths in pixels of the working image (320 wide)."""

    mean: float = 1.93  # of a regular grid with as many Gaussians; 22000 cover 320 x 256
    spacings: tuple[float, ...] = (1.0, 1.41, 2.0, 2.83)  # to choose from, finest first
    default: int = 2  # of them, where nothing is seen
    exponent: float = 0.5  # of the detail; 1 spreads the error evenly but follows noise
    detail: float = 1.5  # standard deviation that separates detail from the rest
    region: float = 4.0  # over which detail is averaged
    least: float = 1.0  # grey levels; weaker detail is noise


@dataclass(frozen=True)
class Density:
    """The spacing wanted at every pixel."""

    level: np.ndarray  # (h, w) uint8 into `spacings`
    spacings: np.ndarray  # (L,) float32 px

    def spacing(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """(n,) float32 px at pixels."""
        return self.spacings[self.level[row, column]]


def wanted_density(grey: np.ndarray, seen: np.ndarray, config: DensityConfig) -> Density:
    """Spacings proportional to a negative power of the local contrast.

    Args:
        grey: (h, w) uint8.
        seen: (h, w) bool; other pixels get the default.
        config: how many and how fine.
    """
    spacings = np.array(config.spacings, np.float32)
    level = np.full(seen.shape, config.default, np.uint8)
    if not seen.any():
        return Density(level, spacings)
    # 1 contrast around every pixel, from half the size: it varies slowly
    half = cv2.resize(_contrast(grey, seen, config), None, fx=0.5, fy=0.5)
    blurred = cv2.GaussianBlur(half, (0, 0), config.region / 2)
    contrast = np.sqrt(blurred) + np.float32(config.least)
    relative = cv2.resize(contrast, seen.shape[::-1]) ** np.float32(-config.exponent)
    # 2 the factor that makes them add up, then the nearest spacing there is
    factor = _factor(relative[seen][::7], spacings, config.mean)
    borders = np.sqrt(spacings[1:] * spacings[:-1])
    level[seen] = np.digitize(factor * relative[seen], borders)
    return Density(level, spacings)


def _contrast(grey: np.ndarray, seen: np.ndarray, config: DensityConfig) -> np.ndarray:
    """(h, w) float32 squared difference to the blurred image; zero where nothing is seen."""
    fine = grey.astype(np.float32)
    rest = fine - cv2.GaussianBlur(fine, (0, 0), config.detail)
    return rest * rest * seen


def _factor(relative: np.ndarray, spacings: np.ndarray, mean: float) -> float:
    """By which relative spacings (n,) need as many Gaussians as a regular grid; bisection."""
    low, high = spacings[0] / relative.max(), spacings[-1] / relative.min()
    for _ in range(12):
        factor = np.sqrt(low * high)
        spacing = np.clip(factor * relative, spacings[0], spacings[-1])
        too_many = float((spacing**-2.0).mean()) > mean**-2
        low, high = (factor, high) if too_many else (low, factor)
    return float(factor)
