"""Corners followed from image to image for as long as they can be seen; no camera is needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.sfm.contrast import evened
from endosfm3d_ros.sfm.sampling import tissue_mask
from endosfm3d_ros.sfm.tracks import corners, follow, follow_through
from endosfm3d_ros.types import Frame


@dataclass(frozen=True)
class PointTracksConfig:
    """How points are found and followed."""

    max_width: int = 640  # px; wider images are tracked at this width
    points: int = 200
    spacing: float = 0.025  # of the width between two corners
    quality: float = 0.005  # share of the strongest corner's response
    patch: float = 0.032  # of the width; side of what is compared
    levels: int = 4  # pyramid
    round_trip: float = 0.5  # px
    slip: float = 10.0  # px that a point may have slipped since it was first seen
    neighbours: int = 6  # points from one image that tell how it has turned since
    highlight: int = 230  # grey level of the darkest channel
    dark: int = 12  # grey level of the brightest channel


@dataclass(frozen=True)
class Tracks:
    """The points of one image; a number stays with its point."""

    ids: np.ndarray  # (N,) int64, rising
    pixels: np.ndarray  # (N, 2) float32 in the tracking image
    size: tuple[int, int]  # (width, height) of the tracking image
    step: float  # px, median motion since the last image; 0 for a first one


@dataclass(frozen=True)
class Origin:
    """Where points were first seen."""

    grey: np.ndarray  # (H, W) uint8
    ids: np.ndarray  # (K,) rising
    pixels: np.ndarray  # (K, 2) float32


class PointTracks:
    """`update` with every image, `renew` with those that matter."""

    def __init__(self, config: PointTracksConfig | None = None) -> None:
        self.config = config or PointTracksConfig()
        self.reset()

    def reset(self) -> None:
        """Forget all points; numbers go on, so that none is used twice."""
        self._grey: np.ndarray | None = None
        self._frame: Frame | None = None
        self._origins: list[Origin] = []
        self._ids = np.empty(0, np.int64)
        self._pixels = np.empty((0, 2), np.float32)
        self._made = 0
        self._size, self._step = (0, 0), 0.0

    def update(self, frame: Frame) -> Tracks:
        """The points that can still be seen in this frame's image."""
        c, grey = self.config, evened(tracking_image(frame.image, self.config.max_width))
        self._size, self._step = (grey.shape[1], grey.shape[0]), 0.0
        if self._grey is not None and self._grey.shape == grey.shape:
            pixels, good = follow(
                self._grey, grey, self._pixels,
                window=self._patch, levels=c.levels, round_trip=c.round_trip,
            )  # fmt: skip
            if good.any():
                self._step = float(np.median(np.linalg.norm((pixels - self._pixels)[good], axis=1)))
            self._ids, self._pixels = self._ids[good], pixels[good]
        else:
            self._origins.clear()
            self._ids, self._pixels = self._ids[:0], self._pixels[:0]
        self._grey, self._frame = grey, frame
        return self._tracks()

    def renew(self) -> Tracks:
        """The points of the last image at their very places, and new ones where they are few.

        Slips add up from image to image; so every point is compared with the image that it was
        first seen in. One that does not look as it did there becomes a new point.
        """
        if self._frame is None:
            return self._tracks()
        # 1 where they really are
        good = np.zeros(len(self._ids), bool)
        for origin in self._origins:
            self._compare(origin, good)
        # 2 what is left starts here, beside corners where there is room
        mask = self._tissue()
        strangers = self._pixels[~good]
        strangers = strangers[mask[tuple(strangers.round().astype(int).T[::-1])] > 0]
        self._ids, self._pixels = self._ids[good], self._pixels[good]
        corners_here = self._corners(mask, np.concatenate([self._pixels, strangers]))
        self._begin(np.concatenate([strangers, corners_here]))
        return self._tracks()

    def _tracks(self) -> Tracks:
        return Tracks(self._ids, self._pixels, self._size, self._step)

    def _compare(self, origin: Origin, good: np.ndarray) -> None:
        """Put right the points of an origin, and mark those; changes `good` and the pixels."""
        c = self.config
        _, here, there = np.intersect1d(self._ids, origin.ids, return_indices=True)
        if len(here) < c.neighbours:
            return
        before, slipped = origin.pixels[there], self._pixels[here]
        # how the image has turned and grown since
        similarity, _ = cv2.estimateAffinePartial2D(
            before, slipped, ransacReprojThreshold=c.slip
        )  # fmt: skip
        if similarity is None:
            return
        pixels, found = follow_through(
            origin.grey, self._grey, before, slipped, np.vstack([similarity, (0, 0, 1)]),
            window=self._patch, levels=1, round_trip=c.round_trip,
        )  # fmt: skip
        found &= np.linalg.norm(pixels - slipped, axis=1) < c.slip
        self._pixels[here[found]] = pixels[found]
        good[here[found]] = True

    @property
    def _patch(self) -> int:
        """Odd side in px."""
        return 2 * round(self.config.patch * self._size[0] / 2) + 1

    def _tissue(self) -> np.ndarray:
        c = self.config
        return tissue_mask(self._frame, self._grey.shape, c.highlight, c.dark).astype(np.uint8)

    def _corners(self, mask: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """(K, 2) float32 where the mask is set and no point is yet; changes the mask."""
        c, room = self.config, self.config.points - len(taken)
        spacing = c.spacing * self._size[0]
        for u, v in taken.round().astype(int).tolist():
            cv2.circle(mask, (u, v), round(spacing), 0, -1)
        if room <= 0:
            return np.empty((0, 2), np.float32)
        return corners(self._grey, mask, room, c.quality, spacing)

    def _begin(self, pixels: np.ndarray) -> None:
        """Points that are first seen in this image."""
        alive = self._ids
        self._origins = [o for o in self._origins if np.isin(o.ids, alive).any()]
        numbers = self._made + np.arange(len(pixels))
        self._made += len(pixels)
        self._origins.append(Origin(self._grey, numbers, pixels))
        self._ids = np.concatenate([self._ids, numbers])
        self._pixels = np.concatenate([self._pixels, pixels])


def tracking_image(image: np.ndarray, max_width: int) -> np.ndarray:
    """(h, w) uint8 grey image, at most `max_width` wide."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= max_width:
        return grey
    size = max_width, round(height * max_width / width)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
