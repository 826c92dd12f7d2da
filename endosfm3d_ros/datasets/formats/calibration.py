"""Camera files of clip folders: `calibration.json` for a pair, `camera.json` for one eye.

Millimetres at the file edge, metres inside. A pair is rectified unless the file says
`"rectified": false`; then its images are raw and R1, R2, P1, P2 say how to rectify them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PINHOLE, PinholeCamera
from endosfm3d_ros.inputs.cameras import rescaled
from endosfm3d_ros.inputs.plausibility import require_baseline, require_camera
from endosfm3d_ros.types import StereoGeometry

# of text that is no JSON, or JSON of other things
UNREADABLE = (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
PAIR_FILE, MONO_FILE = "calibration.json", "camera.json"


@dataclass(frozen=True)
class CameraFile:
    """What a camera file says."""

    camera: PinholeCamera
    stereo: StereoGeometry | None
    fps: float
    depth_unit: float  # metres per unit of a depth image
    turned: bool | None = None  # whether it is of a video's pictures turned as that asks for


def read_camera_file(path: Path) -> CameraFile:
    """Camera, pair, frame rate and depth unit of a clip folder's camera file.

    Raises:
        InputError: not JSON, a key missing, or a value that is no camera.
    """
    try:
        content = json.loads(path.read_text())
        stereo = _pair(content) if "P2" in content else None
        for camera in (stereo.left, stereo.right) if stereo else (_camera(content),):
            require_camera(camera)
        return CameraFile(
            camera=stereo.left if stereo else _camera(content),
            stereo=stereo,
            fps=_positive(content["fps"], "fps"),
            depth_unit=_positive(content.get("depth_unit_mm", 1.0), "depth_unit_mm") * 1e-3,
            turned=None if content.get("turned") is None else bool(content["turned"]),
        )
    except KeyError as error:
        raise InputError(f"{path} has no {error.args[0]!r}") from error
    except UNREADABLE as error:
        raise InputError(f"{path} is no camera file: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_camera_file(
    folder: Path,
    camera: PinholeCamera,
    stereo: StereoGeometry | None,
    fps: float,
    depth_unit: float,
) -> Path:
    """Write `calibration.json` (pair) or `camera.json` (one eye); returns its path."""
    content = camera_content(camera, stereo, fps, depth_unit)
    path = folder / (PAIR_FILE if stereo else MONO_FILE)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def camera_content(
    camera: PinholeCamera, stereo: StereoGeometry | None, fps: float, depth_unit: float
) -> dict[str, Any]:
    """What a camera file says; `depth_unit` is metres per unit of a depth image."""
    content: dict[str, Any] = {
        "image_size": list(camera.size),
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "distortion": list(camera.distortion),
        "lens": camera.lens,
        "fps": fps,
        "depth_unit_mm": depth_unit * 1e3,
    }
    return content if stereo is None else content | _pair_content(stereo)


def resized_pair(stereo: StereoGeometry, size: tuple[int, int]) -> StereoGeometry:
    """The pair for eyes sampled at another (width, height)."""
    sx, sy = (size[i] / stereo.left.size[i] for i in range(2))
    return replace(
        stereo,
        left=stereo.left.resized(*size),
        right=stereo.right.resized(*size),
        P_left=rescaled(stereo.P_left, sx, sy),
        P_right=rescaled(stereo.P_right, sx, sy),
    )


def millimetres(projection: np.ndarray, factor: float = 1e3) -> np.ndarray:
    """A (3, 4) projection with its last column, px * length, in another unit of length."""
    scaled = np.array(projection, np.float64)
    scaled[:, 3] *= factor
    return scaled


def _camera(content: dict[str, Any]) -> PinholeCamera:
    """The one camera; a text under "distortion" is a remark that there is none."""
    width, height = content["image_size"]
    distortion = content.get("distortion", ())
    coefficients = () if isinstance(distortion, str) else tuple(map(float, distortion))
    focal_and_centre = [float(content[key]) for key in ("fx", "fy", "cx", "cy")]
    lens = content.get("lens", PINHOLE)
    return PinholeCamera(width, height, *focal_and_centre, coefficients, lens)


def _pair(content: dict[str, Any]) -> StereoGeometry:
    """The pair of a rectified or raw clip."""
    size = content["image_size"]
    P1, P2 = (millimetres(_matrix(content, key, (3, 4)), 1e-3) for key in ("P1", "P2"))
    if content.get("rectified", True):
        eyes = [PinholeCamera.from_matrix(P[:, :3], *size) for P in (P1, P2)]
        rotations = [np.eye(3), np.eye(3)]
    else:
        eyes = [_raw_eye(content, side) for side in (1, 2)]
        rotations = [_matrix(content, key, (3, 3)) for key in ("R1", "R2")]
    pair = StereoGeometry(*eyes, rotations[0], P1, rotations[1], P2)
    require_baseline(pair.baseline)
    return pair


def _raw_eye(content: dict[str, Any], side: int) -> PinholeCamera:
    K = _matrix(content, f"K{side}", (3, 3))
    distortion = tuple(map(float, content[f"D{side}"]))
    lens = content.get("lens", PINHOLE)
    return PinholeCamera.from_matrix(K, *content["image_size"], distortion, lens)


def _pair_content(stereo: StereoGeometry) -> dict[str, Any]:
    """The keys of a pair; images are taken as rectified when both eyes equal their P."""
    eyes = (
        (1, stereo.left, stereo.R_left, stereo.P_left),
        (2, stereo.right, stereo.R_right, stereo.P_right),
    )
    content: dict[str, Any] = {"baseline_mm": stereo.baseline * 1e3, "rectified": True}
    for side, eye, R, P in eyes:
        content[f"P{side}"] = millimetres(P).tolist()
        content[f"K{side}"] = eye.K.tolist()
        content[f"D{side}"] = list(eye.distortion)
        content[f"R{side}"] = R.tolist()
        rectified = np.array_equal(R, np.eye(3)) and np.array_equal(eye.K, P[:, :3])
        content["rectified"] &= rectified and not eye.distorted
    return content


def _matrix(content: dict[str, Any], key: str, shape: tuple[int, int]) -> np.ndarray:
    matrix = np.asarray(content[key], np.float64)
    if matrix.shape != shape or not np.isfinite(matrix).all():
        raise InputError(f"{key} of shape {matrix.shape}: finite {shape} is accepted")
    return matrix


def _positive(value: float, name: str) -> float:
    number = float(value)
    if not (number > 0 and np.isfinite(number)):
        raise InputError(f"{name} {value}: it must be a positive number")
    return number
