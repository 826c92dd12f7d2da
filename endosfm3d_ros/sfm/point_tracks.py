"""Corners followed from image to image for as long as they can be seen; no camera is needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.sfm.first_sight import FirstSight, seen_again
from endosfm3d_ros.sfm.sampling import tissue_mask
from endosfm3d_ros.sfm.tracking_image import TrackingImages
from endosfm3d_ros.sfm.tracks import corners, follow
from endosfm3d_ros.types import Frame


@dataclass(frozen=True)
class PointTracksConfig:
    """How points are found and followed."""

    max_width: int = 640  # px; wider images are tracked at this width
    points: int = 200
    enough: float = 0.97  # share of them at which no new ones are looked for
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


class PointTracks:
    """`update` with every image, `renew` with those that matter.

    Args:
        config: settings.
        images: shared with whoever else follows points.
    """

    def __init__(
        self, config: PointTracksConfig | None = None, images: TrackingImages | None = None
    ) -> None:
        self.config = config or PointTracksConfig()
        self._images = images or TrackingImages()
        self.reset()

    def reset(self) -> None:
        """Forget all points."""
        self._grey: np.ndarray | None = None
        self._frame: Frame | None = None
        self._ids = np.empty(0, np.int64)
        self._pixels = np.empty((0, 2), np.float32)
        self._sight: FirstSight | None = None  # of these points; None: there are none
        self._made = self._views = 0
        self._size, self._step = (0, 0), 0.0

    def update(self, frame: Frame) -> Tracks:
        """The points that can still be seen in this frame's image."""
        c = self.config
        grey = self._images.of(frame.image, c.max_width).even
        self._size, self._step = (grey.shape[1], grey.shape[0]), 0.0
        if self._grey is not None and self._grey.shape == grey.shape:
            pixels, good = follow(
                self._grey, grey, self._pixels,
                window=self._patch, levels=c.levels, round_trip=c.round_trip,
            )  # fmt: skip
            if good.any():
                self._step = float(np.median(np.linalg.norm((pixels - self._pixels)[good], axis=1)))
            self._pixels = pixels
        else:
            good = np.zeros(len(self._ids), bool)
        self._keep(good)
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
        good = self._put_right()
        # 2 what is left starts here, beside corners where there is room
        mask = self._tissue()
        strangers = self._pixels[~good]
        strangers = strangers[mask[tuple(strangers.round().astype(int).T[::-1])] > 0]
        self._keep(good)
        corners_here = self._corners(mask, np.concatenate([self._pixels, strangers]))
        self._begin(np.concatenate([strangers, corners_here]))
        return self._tracks()

    def _tracks(self) -> Tracks:
        return Tracks(self._ids, self._pixels, self._size, self._step)

    def _keep(self, good: np.ndarray) -> None:
        """Forget the points outside a mask."""
        self._ids, self._pixels = self._ids[good], self._pixels[good]
        self._sight = self._sight[good] if good.any() else None

    def _put_right(self) -> np.ndarray:
        """(N,) bool: the points that look as at first sight, moved to where they do."""
        c = self.config
        if self._sight is None:
            return np.empty(0, bool)
        self._pixels, good = seen_again(
            self._sight, self._grey, self._pixels, window=self._patch, round_trip=c.round_trip,
            slip=c.slip, neighbours=c.neighbours,
        )  # fmt: skip
        return good

    @property
    def _patch(self) -> int:
        """Odd side in px."""
        return 2 * round(self.config.patch * self._size[0] / 2) + 1

    def _tissue(self) -> np.ndarray:
        c = self.config
        return tissue_mask(self._frame, self._grey.shape, c.highlight, c.dark).astype(np.uint8)

    def _corners(self, mask: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """(K, 2) float32 where the mask is set and no point is yet; changes the mask."""
        c = self.config
        if len(taken) >= c.enough * c.points:
            return np.empty((0, 2), np.float32)
        spacing = c.spacing * self._size[0]
        for u, v in taken.round().astype(int).tolist():
            cv2.circle(mask, (u, v), round(spacing), 0, -1)
        return corners(self._grey, mask, c.points - len(taken), c.quality, spacing)

    def _begin(self, pixels: np.ndarray) -> None:
        """Points that are first seen in this image."""
        c, numbers = self.config, self._made + np.arange(len(pixels))
        side = self._patch + 2 * (round(c.slip) + 2)  # patches may slip, and gradients need a rim
        sight = FirstSight.of(self._grey, pixels, self._views, side)
        self._made += len(pixels)
        self._views += 1
        self._sight = sight if self._sight is None else self._sight.joined(sight)
        self._ids = np.concatenate([self._ids, numbers])
        self._pixels = np.concatenate([self._pixels, pixels])
