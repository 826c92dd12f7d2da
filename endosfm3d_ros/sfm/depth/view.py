"""The picture inside its black surround: nothing was seen beyond it, so there is no depth there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from endosfm3d_ros.types import DepthMap

BLACK = 12  # grey level of the brightest channel; coding leaves up to 8 in what is masked
GRAIN = 5  # px; smaller bright specks in the black are noise
LEAST = 0.01  # of the picture: smaller black areas at its border are shadow


def surround(image: np.ndarray) -> np.ndarray | None:
    """(H, W) bool: black that reaches the border of a (H, W, 3) picture; None where there is none.

    It is the mask of a round or narrow view, or what undistortion has left empty.
    """
    dark = (image.max(axis=-1) <= BLACK).astype(np.uint8)
    dark = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((GRAIN, GRAIN), np.uint8))
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    if not border.any():
        return None
    _, names, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=4)
    touching = np.unique(np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]]))
    large = [name for name in touching
             if name and stats[name, cv2.CC_STAT_AREA] >= LEAST * dark.size]  # fmt: skip
    return np.isin(names, large) if large else None


def within_view(depth: DepthMap, image: np.ndarray) -> DepthMap:
    """The depth without what lies in the surround of its picture (H, W, 3)."""
    outside = surround(image)
    if outside is None:
        return depth
    return replace(
        depth,
        depth=np.where(outside, np.float32(np.nan), depth.depth),
        confidence=np.where(outside, np.float32(0), depth.confidence),
    )
