"""What a silhouette is fitted to: the mask around the tool, its contour and the distance to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from endosfm3d_ros.tools.shapes.silhouette import Window
from endosfm3d_ros.tools.types import ToolObservation

MARGIN = 0.25  # of the mask's larger side, left free around it
BORDER = 2.0  # px along the image border, where a mask ends without having a contour
SMOOTHING = 5  # px, of the distance before its gradient is taken: staircases have no direction


@dataclass(frozen=True)
class MaskTarget:
    """The mask in a window around it. Lengths and positions are window pixels."""

    window: Window
    mask: np.ndarray  # (h, w) bool
    known: np.ndarray  # (h, w) bool: not hidden by another tool
    limits: np.ndarray  # (2, 2) float32: lowest and highest position away from the image border
    distance: np.ndarray  # (h, w) float32 to the contour, negative inside
    gradient: np.ndarray  # (h, w, 2) float32 of the distance

    @classmethod
    def of(cls, observation: ToolObservation, resolution: int) -> MaskTarget:
        """The target in a window of at most `resolution` pixels a side.

        The mask must be neither empty nor fill the whole image.
        """
        camera = observation.camera
        window = window_around(observation, resolution)
        mask = sampled(observation.mask, window)
        hidden = np.zeros_like(mask)
        if observation.occluder is not None:
            hidden = sampled(observation.occluder, window) & ~mask
            hidden = cv2.dilate(hidden.astype(np.uint8), np.ones((3, 3))).astype(bool)
        last = np.array([camera.width - 1, camera.height - 1])
        limits = np.stack([window.from_image(0 * last), window.from_image(last)])
        limits += [[BORDER], [-BORDER]]
        distance = signed_distance(mask)
        return cls(window, mask, ~hidden, limits.astype(np.float32), distance, slope_of(distance))

    def informative(self, pixels: np.ndarray) -> np.ndarray:
        """(N,) bool: positions inside the image, off its border, where nothing hides the tool."""
        inside = ((pixels > self.limits[0]) & (pixels < self.limits[1])).all(axis=1)
        column, row = self._nearest(pixels)
        return inside & self.known[row, column]

    def distances(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) signed distance and (N, 2) its gradient at (N, 2) positions."""
        column, row = self._nearest(pixels)
        gradient = self.gradient[row, column]
        offset = pixels - np.stack([column, row], axis=1)
        return self.distance[row, column] + (gradient * offset).sum(axis=1), gradient

    def contour(self, count: int) -> np.ndarray:
        """(M, 2) float32 evenly spaced positions on the true contour, M about `count`."""
        pieces, _ = cv2.findContours(
            self.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        pixels = np.concatenate(pieces)[:, 0].astype(np.float32)
        distance, gradient = self.distances(pixels)
        pixels = (pixels - distance[:, None] * gradient).astype(np.float32)
        pixels = pixels[self.informative(pixels)]
        return pixels[:: max(1, len(pixels) // count)]

    def overlaps(self, silhouettes: np.ndarray) -> np.ndarray:
        """(B,) intersection over union of (B, h, w) silhouettes with the mask, where known."""
        seen = silhouettes & self.known if self.hides else silhouettes
        sizes = np.array([np.count_nonzero(each) for each in seen])
        both = np.array([np.count_nonzero(each) for each in seen & self.mask])
        return both / (sizes + self.area - both)

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return np.count_nonzero(self.mask)

    @cached_property
    def hides(self) -> bool:
        """Whether another tool hides anything in the window."""
        return not self.known.all()

    def _nearest(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of the nearest pixel of the window."""
        height, width = self.mask.shape
        nearest = np.rint(np.clip(pixels, 0, (width - 1, height - 1)))
        column, row = nearest.astype(np.intp).T
        return column, row


def window_around(observation: ToolObservation, resolution: int) -> Window:
    """The window, inside the image, of every n-th pixel in both directions."""
    left, top, width, height = observation.box
    margin = int(MARGIN * max(width, height)) + 2
    right, bottom = (
        min(start + size + margin, limit)
        for start, size, limit in zip((left, top), (width, height), observation.camera.size)
    )
    left, top = max(0, left - margin), max(0, top - margin)
    step = -(-max(right - left, bottom - top) // resolution)
    return Window(
        float(left), float(top), float(step), -(-(right - left) // step), -(-(bottom - top) // step)
    )


def sampled(mask: np.ndarray, window: Window) -> np.ndarray:
    """(h, w) bool: the pixels on which the window's pixels lie.

    No averaging: a silhouette is sampled at the same points, so equal shapes give equal pixels.
    """
    step, left, top = int(window.step), int(window.left), int(window.top)
    return mask[top::step, left::step][: window.height, : window.width]


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """(h, w) float32 distance to the contour between mask pixels and others, negative inside."""
    inside = mask.astype(np.uint8)
    outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    inner = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    signed = np.where(mask, 0.5 - inner, outer - 0.5)  # the contour lies between two pixels
    return cv2.GaussianBlur(signed.astype(np.float32), (3, 3), 0)


def slope_of(distance: np.ndarray) -> np.ndarray:
    """(h, w, 2) float32 unit direction in which the distance grows."""
    smooth = cv2.GaussianBlur(distance, (SMOOTHING, SMOOTHING), 0)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
    steepness = np.maximum(cv2.magnitude(x, y), 1e-6)
    return np.stack([x / steepness, y / steepness], axis=-1)
