"""How points looked when they were first seen, and where the same looks are in a later image.

Points of many images are compared with one image at once: each is a tile, and tiles side by side
are a picture like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from endosfm3d_ros.sfm.features.optical_flow import follow

LEVELS = 0  # above the tiles themselves; they are turned and shifted to where the point is believed


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


@dataclass(frozen=True)
class SeenAgain:
    """N points in another image."""

    pixels: np.ndarray  # (N, 2) float32, where believed if not found
    found: np.ndarray  # (N,) bool
    unlike: np.ndarray  # (N,) one minus the correlation with the first sight; 1 if not found


def seen_again(
    sight: FirstSight,
    grey: np.ndarray,
    believed: np.ndarray,
    *,
    window: int,
    round_trip: float,
    slip: float,
    neighbours: int,
) -> SeenAgain:
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
    """
    # 1 how each point's first image has turned and grown since
    turned, known = _turned(sight, believed, slip, neighbours)
    unlike = np.ones(len(believed))
    if not known.any():
        return SeenAgain(believed, known, unlike)
    # 2 both looks side by side
    middle = sight.tiles.shape[1] // 2 + sight.pixels - sight.pixels.round()
    side, count = sight.tiles.shape[1], int(known.sum())
    before = _side_by_side(sight.tiles[known])
    after = _side_by_side(_looks(grey, believed[known], turned[known], middle[known], side))
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
    if not found.any():
        return SeenAgain(believed, np.zeros(len(believed), bool), unlike)
    rows = np.flatnonzero(known)[found]
    answer, good = believed.copy(), np.zeros(len(believed), bool)
    answer[rows], good[rows] = pixels[found], True
    unlike[rows] = _unlike(before, after, start[found], there[found], window)
    return SeenAgain(answer, good, unlike)


def _unlike(
    before: np.ndarray, after: np.ndarray, start: np.ndarray, there: np.ndarray, window: int
) -> np.ndarray:
    """(K,) one minus the correlation of patches around pixels (K, 2) of two images."""
    looks = []
    for image, pixels in ((before, start), (after, there)):
        offsets = np.arange(window, dtype=np.float32) - window // 2
        u = np.broadcast_to(pixels[:, 0, None, None] + offsets, (len(pixels), window, window))
        v = np.broadcast_to(pixels[:, 1, None, None] + offsets[:, None], u.shape)
        look = cv2.remap(image, *(x.reshape(-1, window) for x in (u, v)), cv2.INTER_LINEAR)
        look = look.reshape(len(pixels), -1).astype(np.float32)
        looks.append(look - look.mean(axis=1, keepdims=True))
    a, b = looks
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.maximum(1 - (a * b).sum(axis=1) / np.maximum(norms, 1e-6), 0)


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
    """(N, side, side) tiles of an image around pixels, turned and grown as at first sight."""
    tiles = np.empty((len(pixels), side, side), np.uint8)
    corners = pixels - np.einsum("nij,nj->ni", turned, middle)  # of the tiles, in the image
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for tile, affine in zip(tiles, np.concatenate([turned, corners[:, :, None]], axis=2)):
        cv2.warpAffine(grey, affine, (side, side), tile, flags)
    return tiles
