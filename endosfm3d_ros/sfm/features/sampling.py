"""What a frame offers for tracking: its depth along rays, and where corners may lie."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.types import DepthMap, Frame

HIGHLIGHT_MARGIN = 7  # px
TOOL_MARGIN = 15  # px
BORDER_MARGIN = 0.02  # of the width; the rim of the lens's round view stands still, and blurs
COARSE = 4  # the border is looked for at this share of the size


def depth_along(rays: np.ndarray, depth: DepthMap) -> np.ndarray:
    """(N,) float64 depth that the map has along rays (N, 3); NaN where it has none."""
    if len(rays) == 0:
        return np.empty(0)
    u, v = depth.camera.project(rays).astype(np.float32).T
    outside = float("nan")
    sampled = cv2.remap(depth.depth, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, outside)
    return sampled[:, 0].astype(np.float64)


def tissue_mask(frame: Frame, shape: tuple[int, int], highlight: int, dark: int) -> np.ndarray:
    """(H, W) bool at `shape`: no highlights, which move with the lamp, no tools, no black border.

    Args:
        frame: image and labels.
        shape: (height, width) of the answer.
        highlight: grey level of the darkest channel above which a pixel is a highlight.
        dark: grey level of the brightest channel below which a pixel shows nothing.
    """
    image = frame.image
    if image.shape[:2] != shape:
        image = cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    red, green, blue = cv2.split(image)
    bright = cv2.min(cv2.min(red, green), blue) > highlight
    black = cv2.max(cv2.max(red, green), blue) < dark
    mask = ~grown(bright, HIGHLIGHT_MARGIN) & ~black & ~_border(black)
    if frame.tool_labels is not None:
        mask &= ~grown(resized_mask(frame.tool_labels > 0, shape), TOOL_MARGIN)
    return mask


def _border(black: np.ndarray) -> np.ndarray:
    """(H, W) bool: black that reaches a corner of the image, and its surroundings."""
    small = black[::COARSE, ::COARSE].astype(np.uint8)
    _, parts = cv2.connectedComponents(small)
    outer = {int(parts[y, x]) for y in (0, -1) for x in (0, -1) if small[y, x]}
    if not outer:
        return np.zeros_like(black)
    side = 2 * round(BORDER_MARGIN * small.shape[1]) + 1
    return resized_mask(grown(np.isin(parts, list(outer)), side), black.shape)


def resized_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bool mask at another (height, width), nearest neighbour."""
    if mask.shape == shape:
        return mask
    size = shape[1], shape[0]
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)


def grown(mask: np.ndarray, side: int) -> np.ndarray:
    """Bool mask dilated by a square of `side` px."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
