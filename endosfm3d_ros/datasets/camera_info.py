"""sensor_msgs/CameraInfo values to cameras, for any object with the fields of that message.

Both rclpy's messages and those that `rosbags` reads fit; no ROS package is imported here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import StereoGeometry

MODELS = ("plumb_bob", "rational_polynomial")
ASPECT_TOLERANCE = 0.01  # relative; a crop that calls itself a rescale shows as more


def camera_from_info(info: Any, image_size: tuple[int, int] | None = None) -> PinholeCamera | None:
    """The raw camera of a CameraInfo, or None where `K[0] == 0` (the message's "uncalibrated").

    Args:
        info: fields width, height, k, d, distortion_model, binning_x/y and roi.
        image_size: (width, height) of the image it came with, where that may be a rescaled one.

    Raises:
        InputError: NaN in K or D, a lens model or a count of coefficients that is not accepted,
            no size, or a size of another aspect ratio.
    """
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    if K[0, 0] == 0:
        return None
    _require_finite(K, "K")
    published, width, height = _as_published(info, K, image_size)
    return PinholeCamera.from_matrix(published, width, height, _distortion(info))


def stereo_from_infos(
    left: Any, right: Any, image_size: tuple[int, int] | None = None
) -> StereoGeometry | None:
    """The pair of two CameraInfos, or None where either eye is uncalibrated.

    Raises:
        InputError: as `camera_from_info`; no baseline in the right `P`; a `P` without focal
            length; an `R` that is no rotation.
    """
    left_camera = camera_from_info(left, image_size)
    right_camera = camera_from_info(right, image_size)
    if left_camera is None or right_camera is None:
        return None
    geometry = StereoGeometry(
        left=left_camera,
        right=right_camera,
        R_left=_rotation(left),
        P_left=_projection(left, image_size),
        R_right=_rotation(right),
        P_right=_projection(right, image_size),
    )
    if geometry.baseline <= 0:
        raise InputError(
            f"stereo baseline {geometry.baseline:g} m: P[3] of the right camera_info must be "
            "-fx * baseline, with the right eye at x > 0 of the left one"
        )
    return geometry


def _distortion(info: Any) -> tuple[float, ...]:
    """Coefficients of a lens model that OpenCV's pinhole knows; () where all are zero."""
    if info.distortion_model not in ("", *MODELS):
        raise InputError(
            f"distortion model {info.distortion_model!r}: accepted are {', '.join(MODELS)}"
        )
    values = tuple(float(value) for value in info.d)
    _require_finite(np.array(values), "D")
    return values if any(values) else ()


def _projection(info: Any, image_size: tuple[int, int] | None) -> np.ndarray:
    """(3, 4) rectified projection at the size of the image."""
    P = np.asarray(info.p, np.float64).reshape(3, 4)
    _require_finite(P, "P")
    if P[0, 0] <= 0 or P[1, 1] <= 0:
        raise InputError(f"camera_info P has focal lengths {P[0, 0]:g}, {P[1, 1]:g}: not a pair")
    return _as_published(info, P, image_size)[0]


def _rotation(info: Any) -> np.ndarray:
    """(3, 3) rectifying rotation; an all-zero R means none."""
    R = np.asarray(info.r, np.float64).reshape(3, 3)
    _require_finite(R, "R")
    if not R.any():
        return np.eye(3)
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3):
        raise InputError(f"camera_info R {R.ravel().tolist()} is no rotation")
    return R


def _as_published(
    info: Any, matrix: np.ndarray, image_size: tuple[int, int] | None
) -> tuple[np.ndarray, int, int]:
    """K or P after region of interest, binning and rescaling, with the width and height."""
    region = info.roi
    width, height = region.width or info.width, region.height or info.height
    if width <= 0 or height <= 0:
        raise InputError(f"camera_info size {width}x{height}: both must be positive")
    cropped = matrix.copy()
    cropped[0] -= region.x_offset * cropped[2]
    cropped[1] -= region.y_offset * cropped[2]
    binned = width // max(info.binning_x, 1), height // max(info.binning_y, 1)
    target = image_size or binned
    _require_same_aspect(binned, target)
    return rescaled(cropped, target[0] / width, target[1] / height), *target


def rescaled(matrix: np.ndarray, sx: float, sy: float) -> np.ndarray:
    """K or P of the image resampled by (sx, sy), pixel centres at integers."""
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return scale @ matrix


def _require_same_aspect(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    ratio = (given[0] * wanted[1]) / (given[1] * wanted[0])
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"camera_info of {given[0]}x{given[1]} for an image of {wanted[0]}x{wanted[1]}: "
            "the aspect ratios must agree"
        )


def _require_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"camera_info {name} {values.ravel().tolist()}: all values must be finite")
