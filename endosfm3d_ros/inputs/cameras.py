"""sensor_msgs/CameraInfo values to cameras, for any object with the fields of that message.

Both rclpy's messages and those that `rosbags` reads fit; no ROS package is imported here. Which
pixels a calibration belongs to is not always what it says: see `readings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import DISTORTION_MODELS, FISHEYE, PINHOLE, PinholeCamera
from endosfm3d_ros.inputs import plausibility
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import StereoGeometry

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
FISHEYE_NAMES = ("equidistant", "fisheye", "kannala_brandt4", "Kannala Brandt4")
NEARER = 0.05  # of the picture to its middle: then K is read in another way than it says
ASPECT_TOLERANCE = 0.01  # relative; a crop that calls itself a rescale shows as more


@dataclass(frozen=True)
class Reading:
    """How matrices of a camera_info become those of the image: crop, then resample."""

    offset: tuple[int, int]  # px of the matrices' picture
    size: tuple[int, int]  # (width, height) of what the crop leaves
    target: tuple[int, int]  # (width, height) of the image
    full: tuple[int, int]  # (width, height) of the matrices' picture
    words: str = ""  # what had to be put right; "" where the message was taken at its word

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """K or P of the image."""
        cropped = matrix.copy()
        cropped[0] -= self.offset[0] * cropped[2]
        cropped[1] -= self.offset[1] * cropped[2]
        return rescaled(cropped, self.target[0] / self.size[0], self.target[1] / self.size[1])

    def off_centre(self, K: np.ndarray) -> float:
        """How far the principal point lies from the middle, as a share of the matrices' picture."""
        return max(abs((K[i, 2] + 0.5) / self.full[i] - 0.5) for i in range(2))


def camera_from_info(
    info: Any,
    image_size: tuple[int, int] | None = None,
    *,
    rectified: bool = False,
    report: InputReport | None = None,
    topic: str = "camera_info",
) -> PinholeCamera | None:
    """The camera of an image, or None where `K[0] == 0` (the message's "uncalibrated").

    Args:
        info: fields width, height, k, p, d, distortion_model, binning_x/y and roi.
        image_size: (width, height) of the image it came with, where that may be a rescaled one.
        rectified: the image is a rectified one, so P and no distortion describe it.
        report: hears what had to be put right.
        topic: how report and errors call the message.

    Raises:
        InputError: NaN, a lens model or a count of coefficients that is not accepted, no size, a
            size of another aspect ratio, or a camera that no endoscope has.
    """
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    if K[0, 0] == 0:
        return None
    try:
        _require_finite(K, "K")
        plausibility.require_matrix(K)
        reading = reading_of(info, K, image_size)
        matrix, lens = K, _lens(info)
        if rectified and (np.any(info.p) or lens[0]):
            matrix, lens = _projection(info)[:, :3], ((), PINHOLE)
            _require_centred(reading, matrix, "P")
        camera = PinholeCamera.from_matrix(reading.apply(matrix), *reading.target, *lens)
        plausibility.require_view(camera)
        plausibility.require_tangential(camera)
        plausibility.require_invertible(camera)
    except InputError as error:
        raise InputError(_about(topic, error)) from error
    _tell(report, topic, reading, rectified)
    return camera


def stereo_from_infos(
    left: Any,
    right: Any,
    image_size: tuple[int, int] | None = None,
    *,
    rectified: bool = False,
    report: InputReport | None = None,
    topics: tuple[str, str] = ("camera_info", "camera_info"),
) -> StereoGeometry | None:
    """The pair of two CameraInfos, or None where either eye is uncalibrated.

    Raises:
        InputError: as `camera_from_info`; a baseline that no endoscope has; a `P` without focal
            length; an `R` that is no rotation.
    """
    eyes = [
        camera_from_info(info, image_size, rectified=rectified, report=report, topic=topic)
        for info, topic in zip((left, right), topics)
    ]
    if eyes[0] is None or eyes[1] is None:
        return None
    try:
        P = [_projection_of_image(info, image_size) for info in (left, right)]
        R = [np.eye(3) if rectified else _rotation(info) for info in (left, right)]
        geometry = StereoGeometry(*eyes, R[0], P[0], R[1], P[1])
        plausibility.require_baseline(geometry.baseline)
        plausibility.require_common_rows(*P)
    except InputError as error:
        raise InputError(_about(topics[1], error)) from error
    return geometry


def reading_of(info: Any, K: np.ndarray, image_size: tuple[int, int] | None) -> Reading:
    """How to read a message: at its word where that gives a camera, else as it must be meant.

    Drivers fill `roi` and `binning` and send the K of the cropped or binned picture all the same.

    Raises:
        InputError: no reading puts the principal point into the middle of the picture.
    """
    possible = readings(info, image_size)
    word = possible[0]
    best = min(possible, key=lambda reading: reading.off_centre(K))
    _require_centred(best, K, "K")
    clearly = best.off_centre(K) < word.off_centre(K) - NEARER
    return best if clearly else word


def _require_centred(reading: Reading, matrix: np.ndarray, name: str) -> None:
    """Refuse a matrix whose principal point is far from the middle of its picture."""
    if not plausibility.CENTRE.holds(0.5 + reading.off_centre(matrix)):
        raise InputError(
            f"principal point {matrix[0, 2]:.1f}, {matrix[1, 2]:.1f} px in a picture of "
            f"{reading.full[0]}x{reading.full[1]}: {plausibility.CENTRE} is accepted; {name} "
            "belongs to another size or crop"
        )


def readings(info: Any, image_size: tuple[int, int] | None) -> list[Reading]:
    """What a message can mean, the standard's meaning first unless it contradicts itself.

    Raises:
        InputError: no size, or one of another aspect than the image.
    """
    region, full = info.roi, (int(info.width), int(info.height))
    if 0 in full and image_size is not None and not any(full):
        return [Reading((0, 0), image_size, image_size, image_size,
                        "size 0x0: that of the images is taken")]  # fmt: skip
    if min(full) <= 0:
        raise InputError(f"size {full[0]}x{full[1]}: both must be positive")
    size = (int(region.width) or full[0], int(region.height) or full[1])
    offset = (int(region.x_offset), int(region.y_offset))
    binned = tuple(length // max(by, 1) for length, by in
                   zip(size, (info.binning_x, info.binning_y)))  # fmt: skip
    target = image_size or binned
    own = Reading((0, 0), target, target, target,
                  "K is that of the cropped or binned picture: roi and binning are not applied "
                  "to it")  # fmt: skip
    if any(offset[i] + size[i] > full[i] for i in range(2)):
        if size == full and same_aspect(target, size):  # roi repeats the size of the crop
            return [own]
        raise InputError(
            f"roi {size[0]}x{size[1]} at {offset[0]}, {offset[1]} lies outside the size "
            f"{full[0]}x{full[1]}"
        )
    found = [Reading(offset, size, target, full)] if same_aspect(binned, target) else []
    if not found:
        raise InputError(
            f"size {binned[0]}x{binned[1]} for an image of {target[0]}x{target[1]}: "
            "the aspect ratios must agree"
        )
    return [*found, own] if target != full else found


def same_aspect(given: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether one size is a resampling of the other, to a rounded pixel."""
    if min(*given, *wanted) <= 0:
        return False
    ratio = (given[0] * wanted[1]) / (given[1] * wanted[0])
    rounding = 1.0 / min(*given, *wanted)
    return abs(ratio - 1) <= max(ASPECT_TOLERANCE, rounding)


def rescaled(matrix: np.ndarray, sx: float, sy: float) -> np.ndarray:
    """K or P of the image resampled by (sx, sy), pixel centres at integers."""
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return scale @ matrix


def _lens(info: Any) -> tuple[tuple[float, ...], str]:
    """Coefficients and model of the lens; () where a pinhole has none but zeros."""
    name = info.distortion_model
    values = tuple(float(value) for value in info.d)
    _require_finite(np.array(values), "D")
    if name in FISHEYE_NAMES:
        return ((*values, 0.0, 0.0, 0.0, 0.0)[: max(4, len(values))], FISHEYE)
    if name not in ("", "none", *MODELS):
        raise InputError(f"distortion model {name!r}: accepted are {', '.join(MODELS)}")
    return _without_trailing_zeros(values), PINHOLE


def _without_trailing_zeros(values: tuple[float, ...]) -> tuple[float, ...]:
    """The shortest form that OpenCV knows; what cannot be shortened stays, to be refused."""
    used = max((i + 1 for i, value in enumerate(values) if value), default=0)
    if used == 0:
        return ()
    if len(values) in DISTORTION_MODELS and len(values) <= 8:
        return values
    fitting = [count for count in DISTORTION_MODELS if used <= count <= len(values)]
    return values[: min(fitting)] if fitting else values


def _projection(info: Any) -> np.ndarray:
    """(3, 4) rectified projection as sent."""
    P = np.asarray(info.p, np.float64).reshape(3, 4)
    _require_finite(P, "P")
    if P[0, 0] <= 0 or P[1, 1] <= 0:
        raise InputError(f"P has focal lengths {P[0, 0]:g}, {P[1, 1]:g}: not a pair")
    return P


def _projection_of_image(info: Any, image_size: tuple[int, int] | None) -> np.ndarray:
    """(3, 4) rectified projection at the size of the image."""
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    return reading_of(info, K, image_size).apply(_projection(info))


def _rotation(info: Any) -> np.ndarray:
    """(3, 3) rectifying rotation; an all-zero R means none."""
    R = np.asarray(info.r, np.float64).reshape(3, 3)
    _require_finite(R, "R")
    if not R.any():
        return np.eye(3)
    if not (np.allclose(R @ R.T, np.eye(3), atol=1e-3) and np.linalg.det(R) > 0):
        raise InputError(f"R {R.ravel().tolist()} is no rotation")
    return R


def _require_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"{name} {values.ravel().tolist()}: all values must be finite")


def _about(topic: str, error: InputError) -> str:
    """The sentence with its topic in front, once."""
    sentence = str(error)
    return sentence if sentence.startswith(topic) else f"{topic} {sentence}"


def _tell(report: InputReport | None, topic: str, reading: Reading, rectified: bool) -> None:
    if report is None:
        return
    if reading.words:
        cure = "let the driver send K, width, height and roi as sensor_msgs/CameraInfo says"
        report.converted(topic, "reading", reading.words, cure)
    else:
        report.settle(topic, "reading")
    if rectified:
        report.converted(topic, "rectified", "the images are rectified: P is used, without D and R")
    else:
        report.settle(topic, "rectified")
