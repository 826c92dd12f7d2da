"""How points looked when they were first seen, and where the same looks are in a later image.

Points of many images are compared with one image at once: each is a tile, and tiles side by side
are a picture like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from endosfm3d_ros.sfm.tracks import follow

LEVELS = 1  # pyramid; the tiles are turned and shifted to where the point is believed


@dataclass(frozen=True)
class FirstSight:
    """N points; `S` is odd."""

    tiles: np.ndarray  # (N, S, S) uint8, the point within half a pixel of the middle
    pixels: np.ndarray  # (N, 2) float32 in the image that it was first seen in
    view: np.ndarray  # (N,) int64 number of that image

    @classmethod
    def of(cls, grey: np.ndarray, pixels: np.ndarray, view: int, side: int) -> FirstSight:
        """Of points (N, 2) of an image (H, W) uint8."""
        half = side // 2
        padded = cv2.copyMakeBorder(grey, half, half, half, half, cv2.BORDER_REPLICATE)
        u, v = pixels.round().astype(int).T
        tiles = sliding_window_view(padded, (side, side))[v, u]
        return cls(tiles, pixels.astype(np.float32), np.full(len(pixels), view, np.int64))

    def __getitem__(self, rows: np.ndarray) -> FirstSight:
        """The rows of a mask or index array."""
        return FirstSight(self.tiles[rows], self.pixels[rows], self.view[rows])

    def joined(self, other: FirstSight) -> FirstSight:
        """These points, then those."""
        mine, theirs = ((s.tiles, s.pixels, s.view) for s in (self, other))
        return FirstSight(*(np.concatenate(pair) for pair in zip(mine, theirs)))


def seen_again(
    sight: FirstSight,
    grey: np.ndarray,
    believed: np.ndarray,
    *,
    window: int,
    round_trip: float,
    slip: float,
    neighbours: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where points are in another image, by what they looked like at first.

    Args:
        sight: N points.
        grey: (H, W) uint8 the other image.
        believed: (N, 2) float32 roughly where they are in it.
        window: side of the compared patch in px.
        round_trip: px, see `tracks.follow`.
        slip: px from where they are believed.
        neighbours: points first seen in one image that tell how it has turned and grown since;
            fewer are not looked for.

    Returns:
        (N, 2) float32 pixels, where believed if not found, and (N,) bool: found.
    """
    # 1 how each point's first image has turned and grown since
    turned, known = _turned(sight, believed, slip, neighbours)
    if not known.any():
        return believed, known
    # 2 both looks side by side
    middle = sight.tiles.shape[1] // 2 + sight.pixels - sight.pixels.round()
    side, count = sight.tiles.shape[1], int(known.sum())
    before = _side_by_side(sight.tiles[known])
    after = _looks(grey, believed[known], turned[known], middle[known], side)
    row, column = np.divmod(np.arange(count), _grid(count)[1])
    start = (side * np.stack([column, row], axis=1) + middle[known]).astype(np.float32)
    there, found = follow(
        before, after, start, start, window=window, levels=LEVELS, round_trip=round_trip
    )
    # 3 what is left is a small shift
    shift = np.einsum("nij,nj->ni", turned[known], there - start)
    found &= np.linalg.norm(shift, axis=1) < slip
    pixels = believed[known] + shift.astype(np.float32)
    height, width = grey.shape
    found &= ((pixels >= 0) & (pixels <= (width - 1, height - 1))).all(axis=1)
    rows = np.flatnonzero(known)[found]
    answer, good = believed.copy(), np.zeros(len(believed), bool)
    answer[rows], good[rows] = pixels[found], True
    return answer, good


def _turned(
    sight: FirstSight, believed: np.ndarray, slip: float, neighbours: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2, 2) rotation and growth since first sight, and (N,) whether it is known."""
    turned, known = np.zeros((len(believed), 2, 2)), np.zeros(len(believed), bool)
    for view in np.unique(sight.view):
        mine = sight.view == view
        if mine.sum() < neighbours:
            continue
        similarity, _ = cv2.estimateAffinePartial2D(
            sight.pixels[mine], believed[mine], ransacReprojThreshold=slip
        )
        if similarity is not None:
            turned[mine], known[mine] = similarity[:, :2], True
    return turned, known


def _grid(count: int) -> tuple[int, int]:
    """Rows and columns of a picture of so many tiles."""
    columns = int(np.ceil(np.sqrt(count)))
    return -(-count // columns), columns


def _side_by_side(tiles: np.ndarray) -> np.ndarray:
    """(rows S, columns S) picture of (N, S, S) tiles."""
    count, side = tiles.shape[:2]
    rows, columns = _grid(count)
    grid = np.zeros((rows * columns, side, side), tiles.dtype)
    grid[:count] = tiles
    return grid.reshape(rows, columns, side, side).swapaxes(1, 2).reshape(rows * side, -1)


def _looks(
    grey: np.ndarray, pixels: np.ndarray, turned: np.ndarray, middle: np.ndarray, side: int
) -> np.ndarray:
    """The picture of an image's tiles around pixels, turned and grown as at first sight."""
    rows, columns = _grid(len(pixels))
    left_out = (0, rows * columns - len(pixels)), (0, 0)
    offsets = np.arange(side)[None] - middle[:, :, None]  # (N, 2, S) px from the point
    maps = []
    for axis in range(2):  # u, v of the image
        across = pixels[:, axis, None] + turned[:, axis, 0, None] * offsets[:, 0]
        down = turned[:, axis, 1, None] * offsets[:, 1]
        across, down = (np.pad(x, left_out).astype(np.float32) for x in (across, down))
        across, down = across.reshape(rows, 1, columns, side), down.reshape(rows, columns, side)
        tiles = across + down.swapaxes(1, 2)[..., None]
        maps.append(tiles.reshape(rows * side, columns * side))
    return cv2.remap(grey, *maps, cv2.INTER_LINEAR)
