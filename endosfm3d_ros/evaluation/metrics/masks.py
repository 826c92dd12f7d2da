"""Instrument masks against a reference that is not exact at its boundary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence

BAND = 3  # px on both sides of the reference boundary that are not scored; annotators differ there


class MaskScore(NamedTuple):
    """Overlap of one frame, 0..1."""

    iou: float
    dice: float


def scored_region(
    reference: np.ndarray, ignore: np.ndarray | None = None, band: int = BAND
) -> np.ndarray:
    """(H, W) bool: pixels to score, away from the boundary and not to be ignored.

    Args:
        reference: (H, W) bool, True on instruments.
        ignore: (H, W) bool, True where the reference is not to be trusted.
        band: px; the boundary runs between pixels, so its first pixels on either side count as 1.
    """
    region = np.ones(reference.shape, bool)
    if band > 0:
        side = 2 * band + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        plane = reference.astype(np.uint8)
        region = cv2.dilate(plane, disc) == cv2.erode(plane, disc)
    return region if ignore is None else region & ~ignore


def mask_overlap(
    predicted: np.ndarray,
    reference: np.ndarray,
    ignore: np.ndarray | None = None,
    band: int = BAND,
) -> MaskScore:
    """Overlap within the scored region; 1 where both are empty there.

    Args:
        predicted: (H, W) bool, True on instruments.
        reference: (H, W) bool.
        ignore: (H, W) bool or None.
        band: px, see `scored_region`.
    """
    region = scored_region(reference, ignore, band)
    p, g = predicted & region, reference & region
    common, total = float((p & g).sum()), float(p.sum() + g.sum())
    if total == 0:
        return MaskScore(1.0, 1.0)
    return MaskScore(common / (total - common), 2 * common / total)


def score_mask(predicted: np.ndarray, sequence: Sequence, i: int) -> MaskScore | None:
    """Overlap of the (H, W) bool mask of frame `i`; None where it must not be scored."""
    reference = sequence.mask(i)
    if reference is None or not sequence.mask_valid(i):
        return None
    return mask_overlap(predicted, reference, sequence.ignore(i))


def mask_means(scores: Iterable[MaskScore]) -> dict[str, float]:
    """Unweighted means over frames by the names of the report; empty without any."""
    table = np.array([*scores])
    if not len(table):
        return {}
    iou, dice = table.mean(axis=0)
    return {"iou_mean": float(iou), "dice_mean": float(dice)}
