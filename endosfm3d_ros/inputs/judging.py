"""Are the images of a pair raw or rectified? Their rows say it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.inputs.epipolar import PairFit, pair_fit
from endosfm3d_ros.types import StereoGeometry

WIDTH = 640  # px at which pairs are looked at
FITS = 2.0  # px: rows of a pair that fits its calibration are nearer (of 640 px of width)
CLEARLY, AT_LEAST = 2.0, 0.1  # times, and px, by which one reading must be better
CURE = "call the topic image_raw or image_rect, by what it is"
MOVED = 0.5  # px that the readings must differ by for a look to make sense


@dataclass(frozen=True)
class Verdict:
    """How the images are to be read, and what there is to say about it.

    Where the images do not tell, `clear` is false and the name decides, if it says anything.
    """

    rectified: bool
    clear: bool = True
    words: str = ""
    cure: str = ""


def rows_limit(width: int) -> float:
    """px by which matches of a fitting pair may miss their rows, in images of this width."""
    return FITS * min(1.0, width / WIDTH)


def differ(raw: StereoGeometry, rectified: StereoGeometry) -> bool:
    """Whether it matters for the picture how the images are read."""
    grid = np.stack(np.meshgrid(*(np.linspace(0.1, 0.9, 5) * n for n in raw.left.size)), axis=-1)
    pixels = grid.reshape(-1, 2)
    for camera, R, P in ((raw.left, raw.R_left, raw.P_left), (raw.right, raw.R_right, raw.P_right)):
        rays = camera.unproject(pixels) @ R.T
        moved = (rays / rays[:, 2:]) @ P[:, :3].T
        if np.nanmax(np.abs(moved[:, :2] - pixels)) > MOVED:
            return True
    return not np.allclose(raw.P_left, rectified.P_left)


def judge_pair(
    left: np.ndarray,
    right: np.ndarray,
    raw: StereoGeometry,
    rectified: StereoGeometry,
    by_name: bool,
) -> Verdict | None:
    """Raw or rectified; None where these images do not tell.

    Args:
        left: (H, W, 3) uint8 RGB.
        right: the other eye.
        raw: the geometry if the images are raw.
        rectified: the geometry if they are rectified.
        by_name: whether the topic's name says rectified.
    """
    fits = [_fit(left, right, geometry, as_it_is) for geometry, as_it_is in
            ((raw, False), (rectified, True))]  # fmt: skip
    if fits[0] is None or fits[1] is None:
        return None
    rows = [fit.rows for fit in fits]
    better = rows[1] < rows[0]
    worse, best = max(rows), min(rows)
    clear = worse > CLEARLY * best and worse - best > AT_LEAST and best < FITS
    said = (
        f"rows of the eyes agree to {rows[1]:.2f} px as they are and to {rows[0]:.2f} px after "
        "rectification"
    )
    if not clear:
        return Verdict(by_name, False, f"{said}: this does not decide", CURE)
    if better == by_name:
        return Verdict(by_name)
    how = ("rectified", "image_rect") if better else ("raw", "image_raw")
    return Verdict(better, True, f"{said}: read as {how[0]}", f"call the topic {how[1]}")


def _fit(
    left: np.ndarray, right: np.ndarray, geometry: StereoGeometry, as_it_is: bool
) -> PairFit | None:
    """Fit of the pair at `WIDTH`, rectified unless it is so already."""
    width, height = geometry.left.size
    scale = min(1.0, WIDTH / width)
    size = round(width * scale), round(height * scale)
    eyes = []
    for image, camera, R, P in (
        (left, geometry.left, geometry.R_left, geometry.P_left),
        (right, geometry.right, geometry.R_right, geometry.P_right),
    ):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if not as_it_is:
            maps = camera.rectifying_maps(R, P[:, :3], camera.size)
            grey = cv2.remap(grey, *maps, cv2.INTER_LINEAR)
        eyes.append(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    infinity = float(geometry.P_left[0, 2] - geometry.P_right[0, 2]) * scale
    return pair_fit(*eyes, infinity)
