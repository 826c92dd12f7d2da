"""Filling what was never seen: push-pull interpolation over an image pyramid.

Gortler et al. 1996 (The Lumigraph), section 3.4.2: means of what is known are pushed up the
pyramid, and pulled down again where finer levels know nothing.
"""

from __future__ import annotations

import cv2
import numpy as np


def push_pull(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill an image from what is known of it.

    Args:
        values: (H, W) or (H, W, C) float32; anything, NaN too, where not known.
        known: (H, W) bool.

    Returns:
        The values where known, a smooth continuation elsewhere; zero if nothing is known.
    """
    plane = values.reshape(*values.shape[:2], -1)
    weight = known.astype(np.float32)
    filled = _fill(np.where(known[..., None], plane, 0).astype(np.float32), weight)
    return np.where(known[..., None], plane, filled).reshape(values.shape).astype(np.float32)


def _fill(sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted sums (H, W, C) and weights to means with no gaps."""
    height, width = weight.shape
    here = sums / np.maximum(weight, 1e-6)[..., None]
    if min(height, width) <= 2:
        total = max(float(weight.sum()), 1e-6)
        mean = sums.sum(axis=(0, 1)) / total
        return np.where(weight[..., None] > 0, here, mean)
    # push: the coarser level knows as much as its finer pixels together, one at most
    coarse = cv2.pyrDown(np.dstack([sums, weight]))
    total = coarse[..., -1]
    limited = np.minimum(1, 4 * total)
    scale = np.divide(limited, total, out=np.zeros_like(total), where=total > 1e-6)
    beneath = _fill(coarse[..., :-1] * scale[..., None], limited)
    # pull: as much of it as the finer level lacks
    smooth = cv2.resize(beneath, (width, height), interpolation=cv2.INTER_LINEAR)
    smooth = smooth.reshape(sums.shape)
    share = np.minimum(weight, 1)[..., None]
    return share * here + (1 - share) * smooth
