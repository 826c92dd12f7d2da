"""Periodic noise, and a bank of tissue patterns made from it once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from scipy import fft
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

SIDE = 1024  # texels of a pattern
LEVELS = 5
RELIEF = ("smooth", "folds", "lobes", "cells")
PATTERN = ("patches", "mottle", "grain", "capillaries", "vessels", "lobules", "slope_x", "slope_y")


def periodic(rng: np.random.Generator, longest: float, shortest: float, side: int) -> np.ndarray:
    """(side, side) float32 between two wavelengths in texels; mean zero, deviation one.

    The spectrum falls as 1/f inside the band: each octave carries the same energy, as skin and
    mucosa do.
    """
    spectrum = fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    down = fft.fftfreq(side).astype(np.float32)[:, None]
    across = fft.rfftfreq(side).astype(np.float32)[None]
    squared = down**2 + across**2
    band = np.exp(-squared * shortest**2) * (1 - np.exp(-squared * longest**2))
    spectrum *= band / np.sqrt(np.maximum(squared, 1e-12))
    noise = fft.irfft2(spectrum, (side, side))
    return (noise / noise.std()).astype(np.float32)


@lru_cache(maxsize=4)
def relief_bank(device: str) -> Tensor:
    """(1, 4, side, side) heights named by `RELIEF`, deviation about one, for organ shapes."""
    rng, side = np.random.default_rng(11), 512
    smooth = periodic(rng, 160, 24, side)
    folds = 1 - 2.2 * np.abs(periodic(rng, 130, 22, side))
    lobes = 1.6 * np.abs(periodic(rng, 110, 26, side)) - 1
    cells = _cells(rng, 90, side)
    planes = np.stack([smooth, folds, lobes, cells])
    planes /= planes.std(axis=(1, 2), keepdims=True)
    return torch.from_numpy(planes[None]).to(device)


@dataclass(frozen=True)
class PatternBank:
    """A mip pyramid in one picture: level l lies `offset[l]` texels down, with a wrapped rim."""

    atlas: Tensor  # (1, 8, rows, side + 2)
    offset: Tensor  # (LEVELS) first row of each level, past its rim

    def sample(self, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        """(N, 8, H, W) patterns at texel coordinates of level 0, averaged as the level asks.

        Args:
            u: (N, H, W) across, periodic.
            v: (N, H, W) down, periodic.
            level: (N, H, W) base-2 logarithm of the texels that a pixel covers.
        """
        level = level.clamp(0, LEVELS - 1)
        low = level.floor()
        share = (level - low)[:, None]
        fine = self._at(u, v, low.long())
        coarse = self._at(u, v, (low.long() + 1).clamp_(max=LEVELS - 1))
        return fine.lerp_(coarse, share)

    def _at(self, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        """Bilinear at one whole level per pixel."""
        rows, columns = self.atlas.shape[-2:]
        side = torch.bitwise_right_shift(torch.full_like(level, SIDE), level)
        scale = side / SIDE
        across = (u * scale - 0.5 * (1 - scale)).remainder_(side) + 1
        down = (v * scale - 0.5 * (1 - scale)).remainder_(side) + self.offset[level]
        grid = torch.stack([across * (2 / (columns - 1)), down * (2 / (rows - 1))], -1).sub_(1)
        atlas = self.atlas.expand(len(u), -1, -1, -1)
        return grid_sample(atlas, grid, mode="bilinear", align_corners=True)


@lru_cache(maxsize=4)
def pattern_bank(device: str) -> PatternBank:
    """Patterns named by `PATTERN`: colour variation, vessels, and slopes of the fine relief."""
    rng = np.random.default_rng(12)
    patches, mottle = periodic(rng, 330, 44, SIDE), periodic(rng, 66, 9, SIDE)
    grain = periodic(rng, 14, 2.0, SIDE)
    vessels = _vessels(rng) * _step(periodic(rng, 440, 110, SIDE), -1.6, 0.6)
    lobules = _cells(rng, 700, SIDE)
    relief = mottle + 0.35 * periodic(rng, 18, 6, SIDE) + 0.8 * vessels + 1.5 * lobules
    slopes = [np.roll(relief, -1, axis) - np.roll(relief, 1, axis) for axis in (1, 0)]
    planes = [patches, mottle, grain, _capillaries(rng), vessels, lobules, *slopes]
    level = torch.from_numpy(np.stack(planes).astype(np.float32))[None]
    strips, offset, row = [], [], 0
    for _ in range(LEVELS):
        strip = pad(level, (1, 1, 1, 1), mode="circular")
        offset.append(row + 1)
        row += strip.shape[-2]
        strips.append(pad(strip, (0, SIDE + 2 - strip.shape[-1], 0, 0)))
        level = avg_pool2d(level, 2)
    atlas = torch.cat(strips, -2)
    return PatternBank(atlas.to(device), torch.tensor(offset, device=device))


def _cells(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Domes around random points, creases between them: fat lobules, packed tissue."""
    points = rng.uniform(0, side, (count, 2))
    wrapped = np.concatenate(
        [points + side * np.array([i, j]) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    seeds = np.ones((3 * side, 3 * side), np.uint8)
    columns, rows = (wrapped + side).astype(int).T
    seeds[rows, columns] = 0
    _, nearest = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    borders = cv2.morphologyEx(nearest.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) == 0
    inward = cv2.distanceTransform(borders.astype(np.uint8), cv2.DIST_L2, 5)
    tile = np.sqrt(inward[side : 2 * side, side : 2 * side])
    return ((tile - tile.mean()) / tile.std()).astype(np.float32)


def _capillaries(rng: np.random.Generator) -> np.ndarray:
    """0..1: thin lines where a noise crosses zero, present in patches."""
    ridges = np.exp(-((periodic(rng, 110, 13, SIDE) / 0.05) ** 2))
    finer = np.exp(-((periodic(rng, 55, 8, SIDE) / 0.06) ** 2))
    present = _step(periodic(rng, 280, 66, SIDE), -0.2, 1.0)
    return present * np.maximum(0.8 * ridges, 0.55 * finer)


def _vessels(rng: np.random.Generator) -> np.ndarray:
    """0..1: a few trees of larger vessels, drawn with wrap-around."""
    canvas = np.zeros((3 * SIDE, 3 * SIDE), np.uint8)
    for _ in range(7):
        start = rng.uniform(SIDE, 2 * SIDE, 2)
        angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(4, 10)
        _grow(canvas, rng, start, angle, width)
        _grow(canvas, rng, start, angle + np.pi, width)
    tiles = canvas.reshape(3, SIDE, 3, SIDE).max(axis=(0, 2)).astype(np.float32) / 255
    wrapped = cv2.copyMakeBorder(tiles, 16, 16, 16, 16, cv2.BORDER_WRAP)
    return cv2.GaussianBlur(wrapped, (0, 0), 1.2)[16:-16, 16:-16]


def _grow(
    canvas: np.ndarray, rng: np.random.Generator, point: np.ndarray, angle: float, width: float
) -> None:
    """Draw one vessel that wanders, thins and forks until it is a capillary."""
    while width > 1.2:
        angle += rng.normal(0, 0.16)
        ahead = point + 11 * np.array([np.cos(angle), np.sin(angle)])
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
