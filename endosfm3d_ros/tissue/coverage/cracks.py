"""Cracks in a view of the map: thin gaps at steps of the surface, closed for the eye only.

The depth stays unknown there, and the map learns nothing from it.
"""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.tissue.appearance.rendering import Rendering
from endosfm3d_ros.tissue.coverage.inpainting import push_pull

CRACK = 0.03  # of the width; gaps between covered pixels that are wider are holes
MARGIN = 8  # px around the cracks that their colours are taken from


def cracks_of(view: Rendering) -> np.ndarray:
    """(H, W) bool: pixels without tissue that covered ones enclose within a short distance."""
    covered = np.isfinite(view.depth).astype(np.uint8)
    side = 2 * max(1, round(CRACK * covered.shape[1] / 2)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # a crack may run out of the view; a strip along the edge of the view is none
    around = cv2.copyMakeBorder(covered, side, side, side, side, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(around, cv2.MORPH_CLOSE, disc)[side:-side, side:-side]
    return closed > covered


def without_cracks(view: Rendering) -> tuple[np.ndarray, np.ndarray]:
    """Colours of a view with its cracks filled from the covered pixels around them.

    Returns:
        (H, W, 3) float32 RGB 0..1, 0 where still empty; (H, W) bool pixels that have a colour.
    """
    covered = np.isfinite(view.depth)
    if covered.all():
        return view.rgb, covered
    cracks = cracks_of(view)
    x, y, width, height = cv2.boundingRect(cracks.astype(np.uint8))
    if not width:
        return view.rgb, covered
    rows, columns = (
        slice(max(0, y - MARGIN), y + height + MARGIN),
        slice(max(0, x - MARGIN), x + width + MARGIN),
    )
    rgb = view.rgb.copy()
    filled = push_pull(rgb[rows, columns], covered[rows, columns])
    rgb[rows, columns][cracks[rows, columns]] = filled[cracks[rows, columns]]
    return rgb, covered | cracks
