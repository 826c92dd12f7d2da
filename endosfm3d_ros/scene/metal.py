"""Where else a tool may be than where its model is: what the mask and its depth show of it.

A bound on a distance must hold for the instrument, not for its model. So it also looks at metal
that depth shows beside the model, at what other kinds of instrument would reach that fit as well,
and it knows when the working end is out of sight.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from endosfm3d_ros.tools.labels import MARGIN
from endosfm3d_ros.tools.shapes.silhouette import project
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import SceneUpdate

WIDTH = 320  # px of a picture in which the next lengths are meant
LEAK = 1  # px that a mask may be larger than the tool
AROUND = 14  # px beside the mask that surround the tool
TELLING = 0.1  # log(R / G) between tool and surroundings, from which on colour tells them apart
NEAR = 3  # px beside the mask that still count as seen
STRIDE = 2  # px between pixels of the mask that are looked at
EXPLAINED = 0.0015  # m from the model's surface, within which metal is the model's
SEEN_SHARE = 0.75  # of the points of the working end that must be in sight


def metal_points(tool: PlacedTool, update: SceneUpdate) -> np.ndarray:
    """(N, 3) points in the camera frame, m, where depth is known on the mask, off its outline.

    Where the tool is less red than its surroundings, red pixels are tissue that the mask took in.
    """
    depth, camera = update.depth.depth, update.depth.camera
    mask = (update.labels == tool.track.id).astype(np.uint8)
    inside = cv2.erode(mask, _square(LEAK * camera.width / WIDTH)) & grey(mask, update)
    stride = max(1, round(STRIDE * camera.width / WIDTH))
    rows, columns = np.nonzero(inside[::stride, ::stride])
    z = cv2.medianBlur(depth.astype(np.float32), 3)[::stride, ::stride][rows, columns]
    known = z > 0
    pixels = stride * np.column_stack([columns, rows])[known]
    return camera.unproject(pixels.astype(float)) * z[known, None]


def grey(mask: np.ndarray, update: SceneUpdate) -> np.ndarray:
    """(H, W) uint8: not of the colour of what surrounds a (H, W) uint8 mask."""
    labels, colours = update.labels, update.image.astype(np.float32) + 4
    redness = np.log(colours[..., 0] / colours[..., 1])
    beside = _square(AROUND * update.depth.camera.width / WIDTH)
    ring = (cv2.dilate(mask, beside) > 0) & ((labels == 0) | (labels == MARGIN))
    if not ring.any() or not mask.any():
        return np.ones_like(mask)
    around, own = float(np.median(redness[ring])), float(np.median(redness[mask > 0]))
    if around - own < TELLING:
        return np.ones_like(mask)
    return (redness < (around + own) / 2).astype(np.uint8)


def beside_model(points: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """(N,) bool: points that no point of the model's (S, 3) surface explains."""
    if not len(points):
        return np.zeros(0, bool)
    tree = cKDTree(surface, balanced_tree=False, compact_nodes=False)
    return tree.query(points, distance_upper_bound=EXPLAINED)[0] > EXPLAINED


def end_in_sight(tool: PlacedTool, update: SceneUpdate) -> float:
    """Share of the working end that is neither behind another tool nor out of the picture.

    1 where the model does not know its working end.
    """
    if tool.model.end is None:
        return 1.0
    camera, labels = update.depth.camera, update.labels
    points = tool.placement.points(tool.model.end)
    pixels, ahead = project(points.astype(np.float32), camera)
    column, row = np.rint(pixels).astype(int).T
    inside = ahead & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    own = (labels == tool.track.id).astype(np.uint8)
    near = cv2.dilate(own, _square(NEAR * camera.width / WIDTH)) > 0
    hidden = (labels > 0) & (labels != MARGIN) & ~near
    column, row = column[inside], row[inside]
    return float((~hidden[row, column]).sum() / len(points))


def _square(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return np.ones((side, side), np.uint8)
