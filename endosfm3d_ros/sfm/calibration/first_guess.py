"""The camera that is believed in before anything is known: from the shape of the picture alone."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera

BLACK = 25  # grey level of the brightest channel
# Full pictures: da Vinci endoscopes. Discs: rod-lens telescopes show 70 to 80 degrees across.
FOCAL_OF_PICTURE = 0.82  # of the width of the picture
FOCAL_OF_DISC = 0.65  # of its diameter: 75 degrees
DISC_FILL = 0.93  # a picture that fills less of its bounding box is round


def first_guess(image: np.ndarray) -> PinholeCamera:
    """Camera of a (H, W, 3) RGB uint8 image by what it shows inside its black border, centred."""
    height, width = image.shape[:2]
    extent, is_disc = _picture(image)
    focal = (FOCAL_OF_DISC if is_disc else FOCAL_OF_PICTURE) * extent
    return PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def _picture(image: np.ndarray) -> tuple[int, bool]:
    """Width of what is not border in px, and whether it is round."""
    lit = (image.max(axis=-1) > BLACK).astype(np.uint8)
    lit = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    _, _, width, height = cv2.boundingRect(lit)
    corners = [lit[y, x] for y in (0, -1) for x in (0, -1)]
    if any(corners) or width < image.shape[1] // 4:
        return image.shape[1], False
    hull = cv2.convexHull(cv2.findNonZero(lit))
    round_view = cv2.contourArea(hull) < DISC_FILL * width * height
    return (max(width, height) if round_view else width), round_view
