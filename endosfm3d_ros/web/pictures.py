"""Pictures of the live page as JPEG: small, coloured, with instruments over the image."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.scene.film import COLOURS
from endosfm3d_ros.scene.pictures import depth_colours, depth_range

WIDTH = 640  # px at most
QUALITY = 80
SHADE = 0.45  # of the colour of an instrument over the image


def jpeg(image: np.ndarray) -> bytes:
    """A (H, W, 3) uint8 RGB image, at most `WIDTH` wide."""
    small = shrunk(image, cv2.INTER_AREA)
    bgr = np.ascontiguousarray(small[..., ::-1])
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def shrunk(plane: np.ndarray, how: int) -> np.ndarray:
    """The plane at most `WIDTH` wide."""
    height, width = plane.shape[:2]
    if width <= WIDTH:
        return plane
    return cv2.resize(plane, (WIDTH, round(height * WIDTH / width)), interpolation=how)


def with_labels(image: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """(H, W, 3) uint8 RGB: every instrument in its colour, with its id.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (h, w) uint8 of the same picture, 0 = tissue; None where there are none.
    """
    small = shrunk(image, cv2.INTER_AREA).copy()
    if labels is None or not labels.any():
        return small
    labels = cv2.resize(labels, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    for tool in np.unique(labels[labels > 0]).tolist():
        mask, colour = labels == tool, COLOURS[tool % len(COLOURS)]
        small[mask] = ((1 - SHADE) * small[mask] + SHADE * np.array(colour)).astype(np.uint8)
        outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, outline, -1, colour, 1)
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        place = x + width // 2, y + height // 2
        cv2.putText(small, str(tool), place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    return small


def depth_picture(depth: np.ndarray, metric: bool) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a depth map, with the ends of its colours."""
    small = np.ascontiguousarray(shrunk(depth, cv2.INTER_NEAREST))
    near, far = depth_range(small)
    picture = np.ascontiguousarray(depth_colours(small, near, far))
    ends = [f"{1e3 * end:.0f} mm" if metric else f"{end:.3f} (relative)" for end in (near, far)]
    text = f"{ends[0]} (yellow) to {ends[1]} (dark)"
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        place = (6, small.shape[0] - 8)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thick)
    return picture
