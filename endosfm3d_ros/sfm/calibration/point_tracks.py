"""Corners followed from image to image for as long as they can be seen; no camera is needed.

They are followed in small images, at a quarter of the cost, and put where they belong in large ones
whenever it matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np

from endosfm3d_ros.sfm.calibration.patch_templates import FirstSight, seen_again
from endosfm3d_ros.sfm.features.illumination import evened, reflections
from endosfm3d_ros.sfm.features.optical_flow import corners, follow
from endosfm3d_ros.sfm.features.sampling import resized_mask, tissue_mask
from endosfm3d_ros.sfm.features.tracking_image import fitted, fitted_size
from endosfm3d_ros.types import Frame


@dataclass(frozen=True)
class PointTracksConfig:
    """How points are found and followed."""

    max_width: int = 640  # px; wider images are looked at in this width ...
    follow_width: int = 320  # ... and points are followed from image to image in this one
    points: int = 400
    enough: float = 0.97  # share of them at which no new ones are looked for
    spacing: float = 0.0175  # of the width between two corners
    quality: float = 0.005  # share of the strongest corner's response
    patch: float = 0.032  # of the width; side of what is compared from image to image
    look: float = 0.04  # of the width; side of what is compared with first sight
    sigma: float = 0.0022  # of the width, of a place where the looks have nothing in common
    least_sigma: float = 0.05  # px
    levels: int = 4  # pyramid
    round_trip: float = 0.5  # px; of the small image where points are followed
    slip: float = 6.0  # px that a point may have slipped since it was first seen
    neighbours: int = 6  # points from one image that tell how it has turned since
    highlight: int = 230  # grey level of the darkest channel
    dark: int = 12  # grey level of the brightest channel


@dataclass(frozen=True)
class Tracks:
    """The points of one image; a number stays with its point."""

    ids: np.ndarray  # (N,) int64, rising
    pixels: np.ndarray  # (N, 2) float32 in the tracking image
    sigma: np.ndarray  # (N,) px; of one coordinate, against the place of first sight
    size: tuple[int, int]  # (width, height) of the tracking image
    step: float  # px, median motion since the last image; 0 for a first one


class PointTracks:
    """`update` with every image, `renew` with those that matter, on any thread."""

    def __init__(self, config: PointTracksConfig | None = None) -> None:
        self.config = config or PointTracksConfig()
        self._lock = Lock()  # an image that comes while points are renewed waits for them
        self.reset()

    def reset(self) -> None:
        """Forget all points."""
        self._small: np.ndarray | None = None  # the last image, without light and reflections
        self._dull: np.ndarray | None = None  # where the small image mirrors nothing
        self._frame: Frame | None = None
        self._ids = np.empty(0, np.int64)
        self._pixels = np.empty((0, 2), np.float32)
        self._sigma = np.empty(0)
        self._sight: FirstSight | None = None  # of these points; None: there are none
        self._made = self._views = 0
        self._size, self._step = (0, 0), 0.0

    def update(self, frame: Frame) -> Tracks:
        """The points that can still be seen in this frame's image."""
        with self._lock:
            return self._updated(frame)

    def _updated(self, frame: Frame) -> Tracks:
        c = self.config
        size = fitted_size(frame.image, c.max_width)
        small_image = fitted(frame.image, c.follow_width)
        dull = ~reflections(small_image)
        small = _matte(small_image, dull)
        seen_before = size == self._size and self._small is not None
        self._step = 0.0
        if seen_before and len(self._ids):
            self._follow(small)
        elif not seen_before:
            self._keep(np.zeros(len(self._ids), bool))
        self._small, self._dull, self._frame, self._size = small, dull, frame, size
        return self._tracks()

    def renew(self) -> Tracks:
        """The points of the last image at their very places, and new ones where they are few.

        Slips add up from image to image; so every point is compared with the image that it was
        first seen in. One that does not look as it did there becomes a new point.
        """
        with self._lock:
            return self._renewed()

    def _renewed(self) -> Tracks:
        if self._frame is None:
            return self._tracks()
        # 1 where they really are
        image = _matte(fitted(self._frame.image, self.config.max_width), self._dull)
        good = self._put_right(image)
        # 2 what is left starts here, beside corners where there is room
        mask = self._tissue()
        strangers = self._pixels[~good]
        strangers = strangers[mask[self._cells(strangers)] > 0]
        self._keep(good)
        corners_here = self._corners(mask, np.concatenate([self._pixels, strangers]))
        self._begin(image, np.concatenate([strangers, corners_here]))
        return self._tracks()

    def _tracks(self) -> Tracks:
        return Tracks(self._ids, self._pixels, self._sigma, self._size, self._step)

    def _keep(self, good: np.ndarray) -> None:
        """Forget the points outside a mask."""
        self._ids, self._pixels, self._sigma = (
            column[good] for column in (self._ids, self._pixels, self._sigma)
        )
        self._sight = self._sight[good] if good.any() else None

    def _follow(self, small: np.ndarray) -> None:
        """From the last image to this one; both small."""
        c, scale = self.config, self._scale
        before = _scaled(self._pixels, scale)
        after, good = follow(
            self._small, small, before,
            window=_odd(c.patch * small.shape[1]), levels=c.levels, round_trip=c.round_trip,
        )  # fmt: skip
        moved = (after - before) / scale
        self._pixels = self._pixels + moved
        if good.any():
            self._step = float(np.median(np.linalg.norm(moved[good], axis=1)))
        self._keep(good)

    def _put_right(self, image: np.ndarray) -> np.ndarray:
        """(N,) bool: the points that look as at first sight, moved to where they do."""
        c = self.config
        if self._sight is None:
            return np.empty(0, bool)
        seen = seen_again(
            self._sight, image, self._pixels, window=_odd(c.look * self._size[0]),
            round_trip=c.round_trip, slip=c.slip, neighbours=c.neighbours,
        )  # fmt: skip
        self._pixels = seen.pixels
        self._sigma = np.hypot(c.least_sigma, c.sigma * self._size[0] * np.sqrt(seen.unlike))
        return seen.found

    @property
    def _scale(self) -> float:
        """Of the small image."""
        return self._small.shape[1] / self._size[0]

    def _cells(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, columns) of the small image under pixels (N, 2)."""
        u, v = _scaled(pixels, self._scale).round().astype(int).T
        return v, u

    def _tissue(self) -> np.ndarray:
        """(h, w) uint8 of the small image: 1 where points may begin."""
        c = self.config
        return tissue_mask(self._frame, self._small.shape, c.highlight, c.dark).astype(np.uint8)

    def _corners(self, mask: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """(K, 2) float32 where the mask is set and no point is yet."""
        c = self.config
        if len(taken) >= c.enough * c.points:
            return np.empty((0, 2), np.float32)
        spacing = c.spacing * self._small.shape[1]
        there = _scaled(taken, self._scale)
        found = corners(self._small, mask, c.points, c.quality, spacing, there)
        return _scaled(found, 1 / self._scale)

    def _begin(self, image: np.ndarray, pixels: np.ndarray) -> None:
        """Points that are first seen in this image."""
        c, numbers = self.config, self._made + np.arange(len(pixels))
        # patches may slip, and their gradients need a rim
        side = _odd(c.look * self._size[0]) + 2 * (round(c.slip) + 2)
        sight = FirstSight.of(image, pixels, self._views, side)
        self._made += len(pixels)
        self._views += 1
        self._sight = sight if self._sight is None else self._sight.joined(sight)
        self._ids = np.concatenate([self._ids, numbers])
        self._pixels = np.concatenate([self._pixels, pixels])
        self._sigma = np.concatenate([self._sigma, np.full(len(pixels), c.least_sigma)])


def _matte(image: np.ndarray, dull: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of an RGB image; `dull` may be smaller."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return evened(grey, resized_mask(dull, grey.shape))


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    """(N, 2) float32 in an image `scale` times as large; pixel centres are whole numbers."""
    return ((pixels + 0.5) * scale - 0.5).astype(np.float32)


def _odd(length: float) -> int:
    """The whole odd number of px near a length."""
    return 2 * round(length / 2) + 1
