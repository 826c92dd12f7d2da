"""What no endoscope has: limits with their sources, in one table, and the checks that use them.

A value outside is refused with value, limit and what it looks like, because a wrong unit or a
calibration of other pixels is far more likely than such an instrument.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, degrees

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import FISHEYE, PinholeCamera


@dataclass(frozen=True)
class Range:
    """Accepted values, ends included, and why."""

    low: float
    high: float
    unit: str
    source: str

    def holds(self, value: float) -> bool:
        """Whether the value lies inside; NaN does not."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}"


BASELINE = Range(
    0.5, 15.0, "mm", "both eyes sit in one shaft, and trocars end at 15 mm; da Vinci has 4 to 6"
)
DEPTH = Range(
    1.0, 500.0, "mm", "scopes touch tissue at one end, and an insufflated abdomen is the other"
)
PINHOLE_VIEW = Range(
    15.0, 140.0, "degrees", "beyond, a pixel of a pinhole spans too little; scopes have 60 to 140"
)
FISHEYE_VIEW = Range(15.0, 220.0, "degrees", "capsules and colonoscopes end at 170 to 200")
CENTRE = Range(0.3, 0.7, "of the picture", "optics are centred on their sensor")
PIXEL_ASPECT = Range(0.8, 1.25, "fx / fy", "sensors have square pixels; 4:3 video of PAL has 1.09")
COMMON_FOCAL, COMMON_ROWS = 2e-3, 0.5  # share, and px, by which P of both eyes may differ
SKEW = 5e-3  # of fx
TANGENTIAL = 0.03  # of 33 endoscope cameras, the worst has 0.019
LEAST_SIDE = 32  # px; nothing can be followed, matched or mapped in less
DEPTH_VALID = 0.01  # share of the pixels below which a depth image says nothing
DEPTH_SHARE = 1 / 8  # of the picture's width: coarser depth is no depth of this picture


def require_baseline(metres: float) -> None:
    """Refuse a baseline that no endoscope has.

    Raises:
        InputError: with value, limit and what it looks like.
    """
    given = metres * 1e3
    if BASELINE.holds(given):
        return
    looks = ""
    if BASELINE.holds(metres):
        looks = ": this looks like millimetres for metres"
    elif given <= 0:
        looks = (
            ": P[3] of the right camera_info must be -fx * baseline, with the right eye at x > 0 "
            "of the left one"
        )
    raise InputError(f"stereo baseline {metres:g} m: {BASELINE} are accepted{looks}")


def require_common_rows(P_left: np.ndarray, P_right: np.ndarray) -> None:
    """Refuse projections (3x4) of two eyes that were not rectified together.

    Raises:
        InputError: other focal lengths, or another row of the principal point.
    """
    focal = np.abs(np.diag(P_right)[:2] / np.diag(P_left)[:2] - 1).max()
    rows = abs(P_left[1, 2] - P_right[1, 2])
    if focal > COMMON_FOCAL or rows > COMMON_ROWS or P_left[1, 3] or P_right[1, 3]:
        raise InputError(
            f"P of the left eye has fx {P_left[0, 0]:.2f}, fy {P_left[1, 1]:.2f}, cy "
            f"{P_left[1, 2]:.2f}, P of the right one {P_right[0, 0]:.2f}, {P_right[1, 1]:.2f}, "
            f"{P_right[1, 2]:.2f} px, {P_right[1, 3]:g} across: {COMMON_FOCAL:.1%} and "
            f"{COMMON_ROWS:g} px are accepted; calibrate both eyes together"
        )


def require_matrix(K: np.ndarray) -> None:
    """Refuse a (3, 3) camera matrix of another form than a camera_info has.

    Raises:
        InputError: pixels that are no rectangles, columns for rows, or another scale.
    """
    if K[0, 2] == K[1, 2] == 0 and K[2, :2].any():
        raise InputError(f"K {K.ravel().tolist()} is written column by column: rows are accepted")
    if abs(K[0, 1]) > SKEW * K[0, 0] or K[1, 0] or K[2, :2].any() or abs(K[2, 2] - 1) > SKEW:
        raise InputError(
            f"K {K.ravel().tolist()}: fx 0 cx, 0 fy cy, 0 0 1 is accepted; a skew of {SKEW:.1%} of "
            "fx at most is left out"
        )


def require_camera(camera: PinholeCamera) -> None:
    """Refuse a camera of a file, perhaps of a crop, that no endoscope has.

    Raises:
        InputError: its field of view, principal point or distortion, with value and limit.
    """
    require_view(camera)
    for place, length in ((camera.cx, camera.width), (camera.cy, camera.height)):
        if not 0 < place < length - 1:
            raise InputError(
                f"principal point {camera.cx:.1f}, {camera.cy:.1f} px outside the picture of "
                f"{camera.width}x{camera.height}"
            )
    require_tangential(camera)
    require_invertible(camera)


def require_tangential(camera: PinholeCamera) -> None:
    """Refuse tangential distortion that no lens has: another order of the coefficients.

    Raises:
        InputError: with value and limit.
    """
    tangential = camera.distortion[2:4] if camera.lens != FISHEYE else ()
    if any(abs(value) > TANGENTIAL for value in tangential):
        raise InputError(
            f"tangential distortion {', '.join(f'{value:g}' for value in tangential)}: "
            f"{TANGENTIAL:g} at most is accepted; D is k1, k2, p1, p2, k3, not k1, k2, k3, p1, p2"
        )


def require_view(camera: PinholeCamera) -> None:
    """Refuse a field of view that this lens model cannot have.

    Raises:
        InputError: with value, limit and cure.
    """
    angle = field_of_view(camera)
    limits = FISHEYE_VIEW if camera.lens == FISHEYE else PINHOLE_VIEW
    if not limits.holds(angle):
        cure = ""
        if angle > limits.high and camera.lens != FISHEYE:
            cure = "; wider lenses need the model equidistant"
        raise InputError(
            f"camera with fx {camera.fx:.1f} px for {camera.width} px sees {angle:.0f} degrees: "
            f"{limits} are accepted{cure}"
        )
    if not PIXEL_ASPECT.holds(camera.fx / camera.fy):
        raise InputError(
            f"camera with fx {camera.fx:.1f} and fy {camera.fy:.1f} px: a ratio of {PIXEL_ASPECT} "
            "is accepted"
        )


def field_of_view(camera: PinholeCamera) -> float:
    """Horizontal field of view in degrees: of the matrix, or of the lens where it is a fisheye."""
    half = camera.width / 2 / camera.fx
    return degrees(2 * half if camera.lens == FISHEYE else 2 * atan(half))


def require_invertible(camera: PinholeCamera) -> None:
    """Refuse distortion that folds the picture over itself within half its height of the centre.

    Raises:
        InputError: with the coefficients and by how much a pixel misses itself.
    """
    if not camera.distorted:
        return
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 0.48 * min(camera.width, camera.height)
    centre = (camera.width - 1) / 2, (camera.height - 1) / 2
    ring = np.column_stack([np.cos(angles), np.sin(angles)]) * radius + centre
    missed = np.abs(camera.project(camera.unproject(ring)) - ring).max()
    if not missed < 0.5:
        raise InputError(
            f"distortion {[round(value, 4) for value in camera.distortion]} ({camera.lens}) of "
            f"{camera.width}x{camera.height} px cannot be undone: pixels {radius:.0f} px from the "
            f"centre miss themselves by {missed:.1f} px, 0.5 are accepted"
        )


def require_depth(depth: np.ndarray) -> np.ndarray:
    """The depth image, if an endoscope can have seen it; single values outside are NaN.

    Raises:
        InputError: too few valid pixels, or a median outside `DEPTH`, with what it looks like.
    """
    valid = np.isfinite(depth)
    share = float(valid.mean()) if depth.size else 0.0
    if share < DEPTH_VALID:
        raise InputError(f"depth valid in {share:.1%} of the pixels: {DEPTH_VALID:.0%} are needed")
    median = float(np.median(depth[valid])) * 1e3
    if DEPTH.holds(median):
        inside = (depth >= DEPTH.low * 1e-3) & (depth <= DEPTH.high * 1e-3)
        return np.where(inside, depth, np.float32(np.nan))
    looks = ""
    if DEPTH.holds(median * 1e-3):
        looks = "; as if millimetres came for metres: 32FC1 holds metres, 16UC1 mm (REP 118)"
    elif DEPTH.holds(median * 1e3):
        looks = "; as if metres came for millimetres: 16UC1 holds millimetres (REP 118)"
    raise InputError(f"depth with a median of {median:g} mm: {DEPTH} are accepted{looks}")


def require_depth_fits(depth: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse depth that cannot be of a picture of this (width, height).

    Raises:
        InputError: another aspect, or far fewer pixels.
    """
    height, width = depth.shape
    if abs(width * size[1] / (height * size[0]) - 1) > 0.01 and (
        abs(width - height * size[0] / size[1]) >= 1
    ):
        raise InputError(
            f"depth of {width}x{height} for a picture of {size[0]}x{size[1]}: the aspect ratios "
            "must agree; register the depth to the picture"
        )
    if width < DEPTH_SHARE * size[0]:
        raise InputError(
            f"depth of {width}x{height} for a picture of {size[0]}x{size[1]}: at least "
            f"{DEPTH_SHARE * size[0]:.0f} px of width are accepted"
        )


def require_picture(image: np.ndarray) -> None:
    """Refuse what no stage can work on.

    Raises:
        InputError: not (H, W, 3) uint8, or a side of less than `LEAST_SIDE`.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image {image.dtype}{list(image.shape)}: uint8 (H, W, 3) is accepted")
    height, width = image.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"image of {width}x{height} pixels: {LEAST_SIDE} a side are the least")
