"""A periodic patch of tissue: colour, vessels and fine relief, made from filtered noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import fft
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

TEXEL = 6e-5  # metres; two thirds of what a 640-pixel image sees at 50 mm
SIDE = 1536  # texels; the patch repeats after 92 mm
LEVELS = 4

# Linear (not gamma-coded) reflectances, tuned by eye beside pictures of porcine abdomen.
FLESH = (0.44, 0.125, 0.115)
PALE = (0.60, 0.34, 0.26)
DARK = (0.22, 0.035, 0.040)
VESSEL = (0.17, 0.014, 0.022)


@dataclass(frozen=True)
class TissueTexture:
    """A pyramid of (5, side + 1, side + 1) maps: red, green, blue, and two slopes of relief.

    The last row and column repeat the first, so that sampling may wrap.
    """

    levels: tuple[Tensor, ...]

    def sample(self, x: Tensor, y: Tensor, footprint: Tensor) -> Tensor:
        """(5, H, W) at surface coordinates in metres, averaged over a pixel's footprint.

        Args:
            x: (H, W) metres.
            y: (H, W) metres.
            footprint: (H, W) metres of surface that one pixel sees.
        """
        level = (footprint / TEXEL).log2_().clamp_(0, len(self.levels) - 1)
        first, last = int(level.min().floor()), int(level.max().ceil())
        result = torch.zeros(5, *x.shape)
        for index in range(first, last + 1):
            weight = (1 - (level - index).abs()).clamp_(min=0)
            result.addcmul_(self._level(index, x, y), weight)
        return result

    def _level(self, index: int, x: Tensor, y: Tensor) -> Tensor:
        """Bilinear lookup in one map, exact in its fractions, periodic."""
        image = self.levels[index]
        side = image.shape[-1] - 1
        scale = 1 / (TEXEL * 2**index)
        grid = torch.stack([x, y], dim=-1).mul_(scale).sub_(0.5).remainder_(side)
        grid = grid.mul_(2 / side).sub_(1)
        return grid_sample(image[None], grid[None], mode="bilinear", align_corners=True)[0]


def make_texture(rng: np.random.Generator) -> TissueTexture:
    """The tissue patch of a random generator."""
    patches = _noise(rng, 0.030, 0.004)
    mottle = _noise(rng, 0.006, 0.0008)
    grain = _noise(rng, 0.0012, 0.00012)
    color = _mix(np.array(FLESH, np.float32), PALE, 0.85 * _step(patches, 0.3, 1.9))
    color = _mix(color, DARK, 0.8 * _step(-patches, 0.2, 2.0))
    color *= (1 + 0.10 * mottle + 0.075 * grain)[..., None]
    color = _mix(color, VESSEL, 0.6 * _capillaries(rng))
    vessels = _vessels(rng) * _step(_noise(rng, 0.040, 0.010), -1.6, 0.6)
    color = _mix(color, VESSEL, 0.7 * vessels)
    relief = _noise(rng, 0.006, 0.0012) + 0.35 * _noise(rng, 0.0016, 0.0005) + 0.8 * vessels
    slopes = [np.roll(relief, -1, axis) - np.roll(relief, 1, axis) for axis in (1, 0)]
    maps = np.dstack([np.clip(color, 0.005, 0.95), *slopes]).transpose(2, 0, 1)
    return TissueTexture(_pyramid(torch.from_numpy(np.ascontiguousarray(maps, np.float32))))


def _pyramid(maps: Tensor) -> tuple[Tensor, ...]:
    levels = [maps]
    while len(levels) < LEVELS:
        levels.append(avg_pool2d(levels[-1][None], 2)[0])
    return tuple(pad(level[None], (0, 1, 0, 1), mode="circular")[0] for level in levels)


def _noise(rng: np.random.Generator, longest: float, shortest: float) -> np.ndarray:
    """(side, side) float32 periodic noise between two wavelengths in metres, deviation one."""
    spectrum = fft.rfft2(rng.standard_normal((SIDE, SIDE), dtype=np.float32))
    down = fft.fftfreq(SIDE, TEXEL).astype(np.float32)[:, None]
    across = fft.rfftfreq(SIDE, TEXEL).astype(np.float32)[None]
    squared = down**2 + across**2
    # falls as 1/f inside the band: each octave carries the same energy, as skin and mucosa do
    band = np.exp(-squared * shortest**2) * (1 - np.exp(-squared * longest**2))
    spectrum *= band / np.sqrt(np.maximum(squared, 1))
    noise = fft.irfft2(spectrum, (SIDE, SIDE))
    return noise / noise.std()


def _capillaries(rng: np.random.Generator) -> np.ndarray:
    """(side, side) 0..1: thin lines where a noise crosses zero, present in patches."""
    ridges = np.exp(-((_noise(rng, 0.010, 0.0012) / 0.045) ** 2))
    finer = np.exp(-((_noise(rng, 0.005, 0.0007) / 0.05) ** 2))
    present = _step(_noise(rng, 0.025, 0.006), -0.2, 1.0)
    return present * np.maximum(0.8 * ridges, 0.55 * finer)


def _vessels(rng: np.random.Generator) -> np.ndarray:
    """(side, side) 0..1: a few trees of larger vessels, drawn with wrap-around."""
    canvas = np.zeros((3 * SIDE, 3 * SIDE), np.uint8)
    for _ in range(6):
        start = rng.uniform(SIDE, 2 * SIDE, 2)
        angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(5, 13)
        _grow(canvas, rng, start, angle, width)
        _grow(canvas, rng, start, angle + np.pi, width)
    tiles = canvas.reshape(3, SIDE, 3, SIDE).max(axis=(0, 2)).astype(np.float32) / 255
    wrapped = cv2.copyMakeBorder(tiles, 16, 16, 16, 16, cv2.BORDER_WRAP)
    return cv2.GaussianBlur(wrapped, (0, 0), 1.6)[16:-16, 16:-16]


def _grow(
    canvas: np.ndarray, rng: np.random.Generator, point: np.ndarray, angle: float, width: float
) -> None:
    """Draw one vessel that wanders, thins and forks until it is a capillary."""
    while width > 1.5:
        angle += rng.normal(0, 0.16)
        ahead = point + 16 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(value) for value in np.round(end * 16)) for end in (point, ahead)]
        cv2.line(canvas, *ends, 255, max(1, round(width)), cv2.LINE_AA, shift=4)
        point, width = ahead, width * 0.985
        if rng.random() < 0.06:
            fork = rng.choice((-1, 1)) * rng.uniform(0.4, 0.9)
            _grow(canvas, rng, point, angle + fork, width * rng.uniform(0.45, 0.75))
            width *= 0.9


def _step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _mix(color: np.ndarray, other: tuple[float, ...], share: np.ndarray) -> np.ndarray:
    return color + share[..., None] * (np.array(other, np.float32) - color)
