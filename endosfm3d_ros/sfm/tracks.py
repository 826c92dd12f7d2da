"""Following points through video with pyramidal Lucas-Kanade, checked there and back."""

from __future__ import annotations

import cv2
import numpy as np


def corners(
    grey: np.ndarray, mask: np.ndarray, count: int, quality: float, distance: float
) -> np.ndarray:
    """(N, 2) float32 corners (Shi and Tomasi 1994) where the mask is set, `distance` px apart."""
    found = cv2.goodFeaturesToTrack(grey, count, quality, distance, mask=mask)
    return np.empty((0, 2), np.float32) if found is None else found[:, 0]


def follow(
    before: np.ndarray,
    after: np.ndarray,
    pixels: np.ndarray,
    guess: np.ndarray | None = None,
    *,
    window: int,
    levels: int,
    round_trip: float | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels of one image are in the next.

    Args:
        before, after: (H, W) uint8.
        pixels: (N, 2) float32 in `before`.
        guess: (N, 2) float32 where they are expected in `after`; their old place if not given.
        window: side of the compared patch in px.
        levels: pyramid levels above the image itself.
        round_trip: px; tracks that miss their start by more on the way back are not believed.
            None saves the way back, for tracks that RANSAC will judge anyway.

    Returns:
        (N, 2) float32 pixels in `after` and (N,) bool: believed.
    """
    if len(pixels) == 0:
        return pixels, np.empty(0, bool)
    start = pixels if guess is None else guess.astype(np.float32)
    options = {
        "winSize": (window, window),
        "maxLevel": levels,
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, pixels, start.copy(), **options)
    height, width = after.shape
    inside = ((there >= 0) & (there <= (width - 1, height - 1))).all(axis=1)
    good = found[:, 0].astype(bool) & inside
    if round_trip is None:
        return there, good
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, pixels.copy(), **options)
    missed = np.linalg.norm(back - pixels, axis=1)
    return there, good & returned[:, 0].astype(bool) & (missed < round_trip)


def follow_through(
    before: np.ndarray,
    after: np.ndarray,
    pixels: np.ndarray,
    guess: np.ndarray,
    H_after_before: np.ndarray,
    **options: float | None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `follow`, with `after` first brought near to `before` by a homography.

    A patch that only shifts can be compared over a long time; one that turns or grows cannot.
    """
    size = after.shape[1], after.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    levelled = cv2.warpPerspective(after, H_after_before, size, flags=flags)
    H_before_after = np.linalg.inv(H_after_before)
    there, good = follow(before, levelled, pixels, warp(H_before_after, guess), **options)
    there = warp(H_after_before, there)
    inside = ((there >= 0) & (there <= (size[0] - 1, size[1] - 1))).all(axis=1)
    return there, good & inside


def warp(H: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(N, 2) float32 pixels through a 3x3 homography."""
    if len(pixels) == 0:
        return pixels
    return cv2.perspectiveTransform(pixels[None].astype(np.float32), H)[0]
