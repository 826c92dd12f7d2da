"""Which small square tiles of an image a set of thick segments can touch.

Shapes are tested only on the pixels of tiles that they may cover, so that a picture of fifty
small shapes costs little more than one of a few large ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 8  # pixels


@dataclass(frozen=True)
class TilePixels:
    """Pixels to test: P pairs of a shape and a tile, each with TILE * TILE pixels."""

    image: Tensor  # (P) index of the picture
    shape: Tensor  # (P) index of the shape within its picture
    pixel: Tensor  # (P, TILE * TILE) index into the flattened padded pictures
    x: Tensor  # (P, TILE * TILE) columns
    y: Tensor  # (P, TILE * TILE) rows


@dataclass(frozen=True)
class Canvas:
    """Size of the padded pictures, a whole number of tiles."""

    count: int
    height: int
    width: int

    @property
    def rows(self) -> int:
        return -(-self.height // TILE)

    @property
    def columns(self) -> int:
        return -(-self.width // TILE)

    def crop(self, flat: Tensor) -> Tensor:
        """(count, height, width) of a flattened padded plane."""
        padded = flat.reshape(self.count, self.rows * TILE, self.columns * TILE)
        return padded[:, : self.height, : self.width]

    @property
    def pixels(self) -> int:
        return self.count * self.rows * self.columns * TILE * TILE


def touched(canvas: Canvas, start: Tensor, end: Tensor, radii: Tensor, valid: Tensor) -> TilePixels:
    """Pixels of the tiles within reach of segments whose radius changes linearly.

    Args:
        canvas: the pictures.
        start: (N, K, 2) first ends in pixels.
        end: (N, K, 2) second ends in pixels.
        radii: (N, K, 2) reach in pixels at the two ends.
        valid: (N, K) bool: shapes that exist.
    """
    device = start.device
    ys = torch.arange(canvas.rows, device=device) * TILE + (TILE - 1) / 2
    xs = torch.arange(canvas.columns, device=device) * TILE + (TILE - 1) / 2
    along = end - start
    squared = along.square().sum(-1).clamp(min=1e-6)[..., None, None]
    dx = xs - start[..., 0, None, None]
    dy = ys[:, None] - start[..., 1, None, None]
    share = (dx * along[..., 0, None, None] + dy * along[..., 1, None, None]).div_(squared)
    share = share.clamp_(0, 1)
    away_x = dx - share * along[..., 0, None, None]
    away_y = dy - share * along[..., 1, None, None]
    reach = radii[..., 0, None, None] * (1 - share) + radii[..., 1, None, None] * share
    near = away_x.square() + away_y.square() < (reach + 0.75 * TILE).square()
    image, shape, row, column = (near & valid[..., None, None]).nonzero(as_tuple=True)
    return _pixels(canvas, image, shape, row, column)


def _pixels(
    canvas: Canvas, image: Tensor, shape: Tensor, row: Tensor, column: Tensor
) -> TilePixels:
    inside = torch.arange(TILE * TILE, device=image.device)
    y = row[:, None] * TILE + inside // TILE
    x = column[:, None] * TILE + inside % TILE
    stride = canvas.columns * TILE
    pixel = (image[:, None] * canvas.rows * TILE + y) * stride + x
    return TilePixels(image, shape, pixel, x.float(), y.float())


def nearest(canvas: Canvas, tiles: TilePixels, depth: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest depth per pixel, and which (pair, pixel) entries gave it.

    Args:
        canvas: the pictures.
        tiles: what was tested.
        depth: (P, TILE * TILE), infinite where the shape is missed.

    Returns:
        (count * padded pixels) flat depths, infinite where nothing is; (P, TILE * TILE) bool.
    """
    flat = torch.full((canvas.pixels,), torch.inf, device=depth.device)
    flat.scatter_reduce_(0, tiles.pixel.reshape(-1), depth.reshape(-1), "amin")
    return flat, (depth == flat[tiles.pixel]) & depth.isfinite()
