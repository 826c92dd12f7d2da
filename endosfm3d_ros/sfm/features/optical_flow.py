"""Following points through video with pyramidal Lucas-Kanade, checked there and back."""

from __future__ import annotations

import cv2
import numpy as np

ITERATIONS, LAST_STEP = 30, 0.03  # per level of the pyramid; px
LEVELS_BACK = 1  # the way back begins where it should end
REACH = 3  # windows around the points; they move less, and patches need surroundings


def corners(
    grey: np.ndarray,
    mask: np.ndarray,
    count: int,
    quality: float,
    distance: float,
    taken: np.ndarray,
) -> np.ndarray:
    """(N, 2) float32 corners (Shi and Tomasi 1994) where the uint8 mask is set.

    They are `distance` px from each other and from the places (K, 2) that are taken, and at most
    `count` together with these.
    """
    if len(taken) >= count:  # OpenCV takes 0 for as many as there are
        return np.empty((0, 2), np.float32)
    free = mask.copy()
    for u, v in taken.round().astype(int):
        cv2.circle(free, (int(u), int(v)), round(distance), 0, -1)
    found = cv2.goodFeaturesToTrack(grey, count - len(taken), quality, distance, mask=free)
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
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
        "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ITERATIONS, LAST_STEP),
    }
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, pixels, start.copy(), maxLevel=levels, **options
    )
    height, width = after.shape
    inside = ((there >= 0) & (there <= (width - 1, height - 1))).all(axis=1)
    good = found[:, 0].astype(bool) & inside
    if round_trip is None:
        return there, good
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        after, before, there, pixels.copy(), maxLevel=min(levels, LEVELS_BACK), **options
    )
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
    Only the part of the images around the points is looked at.
    """
    if len(pixels) == 0:
        return pixels, np.empty(0, bool)
    left, top, right, bottom = _around(pixels, REACH * options["window"], before.shape)
    part = before[top:bottom, left:right]
    H = H_after_before @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    levelled = _seen_through(after, H, part.shape[::-1])
    corner = np.float32([left, top])
    there, good = follow(part, levelled, pixels - corner, warp(np.linalg.inv(H), guess), **options)
    there = warp(H, there)
    inside = ((there >= 0) & (there <= (after.shape[1] - 1, after.shape[0] - 1))).all(axis=1)
    return there, good & inside


def _around(pixels: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the part of an image within `margin` px."""
    left, top = np.maximum(np.floor(pixels.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.ceil(pixels.max(axis=0) + margin).astype(int) + 1
    return int(left), int(top), min(int(right), shape[1]), min(int(bottom), shape[0])


def _seen_through(image: np.ndarray, H_image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 of (width, height) `size`, whose pixels lie at H_image @ pixel in the image."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if np.array_equal(H_image[2], (0, 0, 1)):  # without perspective it is three times as quick
        return cv2.warpAffine(image, H_image[:2], size, flags=flags)
    return cv2.warpPerspective(image, H_image, size, flags=flags)


def warp(H: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(N, 2) float32 pixels through a 3x3 homography."""
    if len(pixels) == 0:
        return pixels
    return cv2.perspectiveTransform(pixels[None].astype(np.float32), H)[0]
