"""Does a pair fit its calibration? Measured on matches that are free to leave their row.

Corners of the left rectified image are looked for in the right one, first in images of a quarter of
the size and over the whole range of disparities of either sign, then exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CORNERS, SPACING = 96, 14  # at most so many, px apart
LEAST_WIDTH = 320  # px that images are enlarged to
COARSE = 0.25  # scale of the first search
PATCH, FINE_PATCH = 5, 10  # half widths in px: of the small image, and of the full one
ROWS = 0.05  # of the height: how far from its row a match is looked for
COLUMNS = 0.28  # of the width: the largest disparity
FINE = 5  # px around the coarse match
LIKENESS, LEAD = 0.8, 0.03  # correlation of a match, and by how much it must win
MATCHES = 12  # fewer say nothing


@dataclass(frozen=True)
class PairFit:
    """How matches of a rectified pair lie; px of the images that were given."""

    rows: float  # median of the rows by which matches miss their own, without sign
    shift: float  # median of the rows, with sign
    disparity: float  # median of left minus right column
    forward: float  # share of matches whose disparity is that of a point in front
    count: int  # of matches


def pair_fit(left: np.ndarray, right: np.ndarray, infinity: float = 0.0) -> PairFit | None:
    """Match (H, W) uint8 rectified images; None where fewer than `MATCHES` can be trusted.

    Args:
        left: left image.
        right: right image.
        infinity: disparity of a point at infinity in px.
    """
    enlarge = max(1.0, LEAST_WIDTH / left.shape[1])
    if enlarge > 1:  # patches of a small picture show too little
        left, right = (
            cv2.resize(eye, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_LINEAR)
            for eye in (left, right)
        )
    corners = _corners(left)
    if len(corners) < MATCHES:
        return None
    small = [
        cv2.resize(eye, None, fx=COARSE, fy=COARSE, interpolation=cv2.INTER_AREA)
        for eye in (left, right)
    ]
    moves = []
    for u, v in corners:
        coarse = _coarse_match(*small, u * COARSE, v * COARSE)
        fine = coarse and _fine_match(left, right, (u, v), coarse)
        if fine:
            moves.append(fine)
    if len(moves) < MATCHES:
        return None
    dx, dy = np.array(moves).T / enlarge
    return PairFit(
        rows=float(np.median(np.abs(dy))),
        shift=float(np.median(dy)),
        disparity=float(np.median(dx)),
        forward=float((dx > infinity - 0.75).mean()),
        count=len(moves),
    )


def _corners(image: np.ndarray) -> np.ndarray:
    """(N, 2) int corners away from the border, and from black that is no picture."""
    margin = FINE_PATCH + FINE + 1
    mask = (image > 12).astype(np.uint8)
    mask = cv2.erode(mask, np.ones((2 * FINE_PATCH + 1,) * 2, np.uint8))
    mask[:margin] = mask[-margin:] = 0
    mask[:, :margin] = mask[:, -margin:] = 0
    found = cv2.goodFeaturesToTrack(image, CORNERS, 0.01, SPACING, mask=mask, blockSize=5)
    return np.empty((0, 2), int) if found is None else found[:, 0].astype(int)


def _coarse_match(
    left: np.ndarray, right: np.ndarray, u: float, v: float
) -> tuple[float, float] | None:
    """(columns, rows) of the best match in small images, if it is the only one."""
    height, width = left.shape
    column, row = round(u), round(v)
    reach_x, reach_y = int(COLUMNS * width), max(2, int(ROWS * height))
    top, bottom = row - PATCH, row + PATCH + 1
    first, last = column - PATCH, column + PATCH + 1
    if top < 0 or first < 0 or bottom > height or last > width:
        return None
    y0, x0 = max(0, top - reach_y), max(0, first - reach_x)
    window = right[y0 : bottom + reach_y, x0 : last + reach_x]
    score = cv2.matchTemplate(window, left[top:bottom, first:last], cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(score)
    score[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = -1
    if not (best > LIKENESS - 0.1 and best > score.max() + LEAD):
        return None
    return (x0 + x - first) / COARSE, (y0 + y - top) / COARSE


def _fine_match(
    left: np.ndarray, right: np.ndarray, corner: tuple[int, int], guess: tuple[float, float]
) -> tuple[float, float] | None:
    """(disparity, rows) below a pixel, near the coarse match."""
    (u, v), reach = corner, FINE_PATCH + FINE
    x, y = round(u + guess[0]), round(v + guess[1])
    height, width = right.shape
    if x < reach or y < reach or x + reach >= width or y + reach >= height:
        return None
    patch = left[v - FINE_PATCH : v + FINE_PATCH + 1, u - FINE_PATCH : u + FINE_PATCH + 1]
    window = right[y - reach : y + reach + 1, x - reach : x + reach + 1]
    score = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED)
    _, best, _, (i, j) = cv2.minMaxLoc(score)
    if best < LIKENESS or not (0 < i < 2 * FINE and 0 < j < 2 * FINE):
        return None
    across, down = _peak(score[j, i - 1 : i + 2]), _peak(score[j - 1 : j + 2, i])
    return u - (x - FINE + i + across), y - FINE + j + down - v


def _peak(values: np.ndarray) -> float:
    """Where the parabola through three values peaks, from the middle one."""
    a, b, c = (float(value) for value in values)
    curve = a - 2 * b + c
    return float(np.clip((a - c) / (2 * curve), -0.5, 0.5)) if curve < 0 else 0.0
