"""The picture for people: the present image, and the tissue map where instruments hide tissue.

Nothing of it is for machines: what is hidden is shown as it was last seen, and moves with what is
around it; what was never seen is filled in, and marked as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import cv2
import numpy as np

from endosfm3d_ros.geometry.undistortion import Undistorter
from endosfm3d_ros.tools.labels import labels_at
from endosfm3d_ros.types import SceneUpdate, TissueView, TrackingState

TINT = (60, 200, 210)  # RGB; no tissue has it
TINT_SHARE = 0.3
COARSE = 4  # exposure and marks are found at such a fraction of the map's size
AREA = 3.0  # of the square of its radius in px: what one Gaussian of a grid stands for
BEHIND = 0.05  # share of the depth; inferred Gaussians that lie deeper are not what is shown


@dataclass(frozen=True)
class CompositeConfig:
    """Lengths are shares of the width of the map's image."""

    margin: float = 0.010  # around instruments that is taken from the map: blur and shadow
    feather: float = 0.010  # around that, from all map to all image
    ring: float = 0.08  # of tissue around it, whose exposure the map is brought to
    exposure: float = 1.5  # factor on the map's brightness at most
    evidence: float = 0.02  # ring pixels per window pixel that outweigh "exposure is the same"


class Compositor:
    """Makes the picture of every update that somebody looks at.

    Args:
        config: lengths.
    """

    def __init__(self, config: CompositeConfig | None = None) -> None:
        self.config = config or CompositeConfig()
        self._undistorter = Undistorter()

    def picture(self, update: SceneUpdate, mark_inferred: bool = True) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the size of the input, without lens distortion.

        `mark_inferred` tints what was never seen. What instruments hide is told by the labels.

        Where the camera is lost, the map does not know what is hidden now: the image alone.
        """
        image, view = self._present(update), update.tissue
        if view is None or view.state == TrackingState.LOST or update.labels is None:
            return image
        hidden = labels_at(update.labels, view.camera.size) > 0
        if not hidden.any():
            return image
        return see_through(image, view, hidden, mark_inferred, self.config)

    def _present(self, update: SceneUpdate) -> np.ndarray:
        if update.image.shape == update.frame.image.shape:
            return update.image
        return self._undistorter.apply(update.frame.image, update.lens)


def see_through(
    image: np.ndarray,
    view: TissueView,
    hidden: np.ndarray,
    mark_inferred: bool,
    config: CompositeConfig,
) -> np.ndarray:
    """The image with the map where instruments hide tissue.

    Args:
        image: (H, W, 3) uint8 RGB, undistorted, of any size.
        view: the map at the time of the image.
        hidden: (h, w) bool of the map's pixels, True on instruments.
        mark_inferred: tint what was never seen.
        config: widths of the seam.

    Returns:
        (H, W, 3) uint8 RGB. The map on instruments, the image farther than margin and feather
        from them; on instruments too where the map shows nothing.
    """
    share = seam(hidden, config) * view.covered
    tissue = view.image
    if mark_inferred:
        tissue = marked(tissue, inferred_share(view))
    factor = exposure(view.image, image, share, config)
    here, there = _boxes(share, image)
    share, tissue, factor = (np.ascontiguousarray(x[here]) for x in (share, tissue, factor))
    out = image.copy()
    if share.size:
        tissue = cv2.multiply(tissue, factor, dtype=cv2.CV_8U)
        out[there] = blended(image[there], tissue, share)
    return out


def seam(hidden: np.ndarray, config: CompositeConfig) -> np.ndarray:
    """(h, w) float32 share of the map: 1 on instruments and their margin, 0 beyond the feather."""
    width = hidden.shape[1]
    # one pixel more, so that enlarging leaves nothing of an instrument
    margin, half = round(config.margin * width) + 1, max(1, round(config.feather * width / 2))
    side = 2 * (margin + half) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    grown = cv2.dilate(hidden.astype(np.uint8), disc).astype(np.float32)
    return cv2.blur(grown, (2 * half + 1, 2 * half + 1))


def exposure(
    tissue: np.ndarray, image: np.ndarray, share: np.ndarray, config: CompositeConfig
) -> np.ndarray:
    """(h, w, 3) float32 factor that brings the map to the exposure of the image around the holes.

    It varies slowly: means of image and map over the visible ring in a wide window. Where there is
    no ring near, it is one.
    """
    size = (max(1, share.shape[1] // COARSE), max(1, share.shape[0] // COARSE))
    # samples will do, for means over a wide window; but no pixel of an instrument among them
    present, known = (cv2.resize(x, size, interpolation=cv2.INTER_LINEAR) for x in (image, tissue))
    hole = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
    side = 2 * round(config.ring * size[0]) + 1
    near = cv2.dilate(hole, np.ones((side, side))) > 0
    ring = (near & (hole == 0) & (known.max(axis=2) > 0)).astype(np.float32)[..., None]
    window = (2 * side + 1, 2 * side + 1)
    prior = np.float32(config.evidence * max(float(known.mean()), 1.0))
    sums = [cv2.blur(x * ring, window) + prior for x in (present, known)]
    factor = np.clip(sums[0] / sums[1], 1 / config.exposure, config.exposure)
    return cv2.resize(factor, share.shape[::-1], interpolation=cv2.INTER_LINEAR)


def inferred_share(view: TissueView) -> np.ndarray:
    """(h, w) float32 0..1: how much of what the map shows there was never seen."""
    rows, alive = view.gaussians.rows, view.gaussians.alive()
    alive = alive[rows["inferred"][alive]]
    height, width = view.depth.shape
    # 1 the area that never seen Gaussians take on the surface, in coarse cells
    column, row, z = _pixels(view, rows["means"][alive])
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height) & (z > 0)
    column, row, z, alive = column[inside], row[inside], z[inside], alive[inside]
    shown = ~(z > view.depth[row, column] * (1 + BEHIND))  # NaN compares false
    radius = rows["scales"][alive, 0] * np.float32(view.camera.fx) / z
    size = (height // COARSE + 1, width // COARSE + 1)
    cell = (row // COARSE) * size[1] + column // COARSE
    area = np.bincount(cell, shown * AREA * radius**2, size[0] * size[1]).reshape(size)
    # 2 as a share of the cells, smoothly at the size of the map
    share = cv2.GaussianBlur((area / COARSE**2).astype(np.float32), (0, 0), 1.0)
    whole = cv2.resize(share, (size[1] * COARSE, size[0] * COARSE), interpolation=cv2.INTER_LINEAR)
    return np.minimum(whole[:height, :width], 1)


def marked(tissue: np.ndarray, inferred: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 with a tint where more than half was never seen."""
    mask = inferred > 0.5
    if not mask.any():
        return tissue
    tinted = cv2.addWeighted(tissue, 1 - TINT_SHARE, np.full_like(tissue, TINT), TINT_SHARE, 0)
    return np.where(mask[..., None], tinted, tissue)


def blended(image: np.ndarray, tissue: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: `share` (h, w) of the tissue (h, w, 3) of any size, the rest image."""
    size = image.shape[1::-1]
    level = (share * 255 + 0.5).astype(np.uint8)
    level, tissue = (cv2.resize(x, size, interpolation=cv2.INTER_LINEAR) for x in (level, tissue))
    out = image.copy()
    cv2.copyTo(tissue, cv2.compare(level, 255, cv2.CMP_EQ), out)
    # only the seam needs arithmetic
    seam_pixels = np.flatnonzero((level > 0) & (level < 255))
    below, above = (x.reshape(-1, 3)[seam_pixels].astype(np.float32) for x in (image, tissue))
    weight = level.reshape(-1)[seam_pixels, None] * np.float32(1 / 255)
    out.reshape(-1, 3)[seam_pixels] = (below + weight * (above - below) + 0.5).astype(np.uint8)
    return out


def _boxes(share: np.ndarray, image: np.ndarray) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part with shares above zero, in pixels of the map and of the image: the same part.

    It begins and ends at pixels whose edges fall on edges of the other raster.
    """
    x, y, width, height = cv2.boundingRect((share > 0).astype(np.uint8))
    here, there = [], []
    for first, length, small, large in zip(
        (y, x), (height, width), share.shape, image.shape[:2], strict=True
    ):
        common = gcd(small, large)
        step = small // common
        start = max(0, first - 1) // step
        stop = min(common, -(-(first + length + 1) // step)) if length else start
        here.append(slice(start * step, stop * step))
        there.append(slice(start * (large // common), stop * (large // common)))
    return tuple(here), tuple(there)


def _pixels(view: TissueView, means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row (int64) and depth of points of the map frame in the view."""
    T, camera = view.T_map_camera.astype(np.float32), view.camera
    points = (means - T[:3, 3]) @ T[:3, :3]
    z = points[:, 2]
    safe = np.where(z > 0, z, np.float32(1))
    column = np.rint(points[:, 0] / safe * camera.fx + camera.cx).astype(np.int64)
    row = np.rint(points[:, 1] / safe * camera.fy + camera.cy).astype(np.int64)
    return column, row, z
