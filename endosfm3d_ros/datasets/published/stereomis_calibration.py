"""`StereoCalibration.ini` of StereoMIS (Hayoz et al. 2023, Zenodo 8154924).

Sections StereoLeft and StereoRight; res_x, res_y, fc_*, cc_* in pixels, kc_0.. in OpenCV's order.
R_0.. (row-major) and T_0.. (millimetres) of the right section map left points into the right eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from configparser import ConfigParser, Error
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.videos.file import fitted
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import StereoGeometry

BASELINES = (0.5e-3, 50e-3)  # metres; outside, the file is in another unit


def read_stereo_calibration(path: Path, size: tuple[int, int]) -> StereoGeometry:
    """The pair for eyes of `size` (width, height), rectified by OpenCV's Bouguet method.

    Raises:
        InputError: a section, key or number missing, a rotation that is none, or a baseline that
            is not to the right or not of an endoscope.
    """
    ini = _parsed(path)
    try:
        eyes = [fitted(_eye(ini[section]), size, path) for section in ("StereoLeft", "StereoRight")]
        R, T = _motion(ini["StereoRight"])
    except KeyError as error:
        raise InputError(f"{path} has no {error.args[0]!r}") from error
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path} holds a value that is no number: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return rectified_pair(path, *eyes, size, R, T)


def _parsed(path: Path) -> ConfigParser:
    ini = ConfigParser(interpolation=None, inline_comment_prefixes=("#", ";"))
    try:
        ini.read_string(path.read_text("utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from error
    except Error as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"{path} is no ini file: {first_line}") from error
    return ini


def _eye(section: Mapping[str, str]) -> PinholeCamera:
    """One eye at the resolution of its calibration."""
    width, height = (int(float(section[key])) for key in ("res_x", "res_y"))
    values = [float(section[key]) for key in ("fc_x", "fc_y", "cc_x", "cc_y")]
    distortion = [float(section.get(f"kc_{i}") or 0) for i in range(8)]
    count = 8 if any(distortion[5:]) else 5 if any(distortion) else 0
    return PinholeCamera(width, height, *values, tuple(distortion[:count]))


def _motion(section: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation (metres) from the left into the right eye."""
    R = np.array([float(section[f"R_{i}"]) for i in range(9)]).reshape(3, 3)
    T = np.array([float(section[f"T_{i}"]) for i in range(3)]) * 1e-3
    if not (np.isfinite(T).all() and np.allclose(R @ R.T, np.eye(3), atol=1e-3)):
        raise InputError(f"R {R.ravel().tolist()}, T {T.tolist()} m is no rigid motion")
    return R, T


def rectified_pair(
    path: Path,
    left: PinholeCamera,
    right: PinholeCamera,
    size: tuple[int, int],
    R: np.ndarray,
    T: np.ndarray,
) -> StereoGeometry:
    """The pair with R and P as the authors' loaders make them: zero disparity, no black border.

    Raises:
        InputError: the baseline is not to the right or not of an endoscope; names the file.
    """
    lenses = [np.array(eye.distortion or (0.0,) * 5) for eye in (left, right)]
    R1, R2, P1, P2, *_ = cv2.stereoRectify(
        left.K, lenses[0], right.K, lenses[1], size, R, T, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
    )
    pair = StereoGeometry(left, right, R1, P1, R2, P2)
    if not BASELINES[0] <= pair.baseline <= BASELINES[1]:
        raise InputError(
            f"{path} has T = {(T * 1e3).tolist()} mm, a baseline of {pair.baseline * 1e3:g} mm: "
            f"{BASELINES[0] * 1e3:g} to {BASELINES[1] * 1e3:g} mm to the right is accepted"
        )
    return pair
