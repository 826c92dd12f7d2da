"""Corners followed from image to image for as long as they can be seen; no camera is needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.sfm.sampling import tissue_mask
from endosfm3d_ros.sfm.tracks import corners, follow
from endosfm3d_ros.types import Frame


@dataclass(frozen=True)
class PointTracksConfig:
    """How points are found and followed."""

    max_width: int = 640  # px; wider images are tracked at this width
    points: int = 200
    refill: float = 0.8  # share of `points` below which new corners are looked for
    spacing: float = 0.025  # of the width between two corners
    quality: float = 0.005  # share of the strongest corner's response
    patch: int = 21  # px
    levels: int = 4  # pyramid
    round_trip: float = 0.5  # px
    highlight: int = 230  # grey level of the darkest channel
    dark: int = 12  # grey level of the brightest channel


@dataclass(frozen=True)
class Tracks:
    """The points of one image; a number stays with its point."""

    ids: np.ndarray  # (N,) int64, rising
    pixels: np.ndarray  # (N, 2) float32 in the tracking image
    size: tuple[int, int]  # (width, height) of the tracking image
    step: float  # px, median motion since the last image; 0 for a first one


class PointTracks:
    """`update` is the only verb."""

    def __init__(self, config: PointTracksConfig | None = None) -> None:
        self.config = config or PointTracksConfig()
        self.reset()

    def reset(self) -> None:
        """Forget all points; numbers go on, so that none is used twice."""
        self._grey: np.ndarray | None = None
        self._ids = np.empty(0, np.int64)
        self._pixels = np.empty((0, 2), np.float32)
        self._made = 0
        self._size, self._step = (0, 0), 0.0

    def update(self, frame: Frame) -> Tracks:
        """The points in this frame's image: followed ones, and new ones where they are few."""
        c, grey = self.config, tracking_image(frame.image, self.config.max_width)
        self._size, self._step = (grey.shape[1], grey.shape[0]), 0.0
        if self._grey is not None and self._grey.shape == grey.shape:
            pixels, good = follow(
                self._grey, grey, self._pixels,
                window=c.patch, levels=c.levels, round_trip=c.round_trip,
            )  # fmt: skip
            if good.any():
                self._step = float(np.median(np.linalg.norm((pixels - self._pixels)[good], axis=1)))
            self._ids, self._pixels = self._ids[good], pixels[good]
        else:
            self._ids, self._pixels = self._ids[:0], self._pixels[:0]
        self._grey = grey
        if len(self._ids) < c.refill * c.points:
            self._refill(frame, grey)
        return Tracks(self._ids, self._pixels, self._size, self._step)

    def _refill(self, frame: Frame, grey: np.ndarray) -> None:
        c = self.config
        mask = tissue_mask(frame, grey.shape, c.highlight, c.dark).astype(np.uint8)
        usable = mask[tuple(self._pixels.round().astype(int).T[::-1])] > 0
        self._ids, self._pixels = self._ids[usable], self._pixels[usable]
        spacing = c.spacing * grey.shape[1]
        for u, v in self._pixels.round().astype(int).tolist():
            cv2.circle(mask, (u, v), round(spacing), 0, -1)
        fresh = corners(grey, mask, max(c.points - len(self._ids), 1), c.quality, spacing)
        numbers = self._made + np.arange(len(fresh))
        self._ids = np.concatenate([self._ids, numbers])
        self._pixels = np.concatenate([self._pixels, fresh])
        self._made += len(fresh)


def tracking_image(image: np.ndarray, max_width: int) -> np.ndarray:
    """(h, w) uint8 grey image, at most `max_width` wide."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= max_width:
        return grey
    size = max_width, round(height * max_width / width)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
