"""Floor 1: raw image buffers to arrays, with every size checked before a byte is read.

Encodings are those of sensor_msgs/image_encodings; depth units follow REP 118.
"""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

# encoding -> (channels, conversion of OpenCV that leads to RGB; None = already RGB)
COLOR_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
DEPTH_ENCODINGS: dict[str, tuple[type, float]] = {  # encoding -> (dtype, metres per unit)
    "32FC1": (np.float32, 1.0),
    "16UC1": (np.uint16, 1e-3),
}
LABEL_ENCODINGS: dict[str, type] = {"mono8": np.uint8, "16UC1": np.uint16}

# How a complete file of each compressed format ends: OpenCV decodes a cut one to grey areas.
END_MARKERS: dict[bytes, bytes] = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
TAIL_BYTES = 1024  # some encoders pad or add remarks after the end marker


LEAST_SIDE = 32  # px; nothing can be followed, matched or mapped in less


def check_picture(image: np.ndarray) -> None:
    """Refuse what no stage can work on.

    Raises:
        InputError: not (H, W, 3) uint8, or a side of less than `LEAST_SIDE`.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image {image.dtype}{list(image.shape)}: uint8 (H, W, 3) is accepted")
    height, width = image.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"image of {width}x{height} pixels: {LEAST_SIDE} a side are the least")


def decode_image(
    data: bytes | np.ndarray,
    encoding: str,
    *,
    height: int,
    width: int,
    step: int,
    is_bigendian: int = 0,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a colour or grey buffer whose rows are `step` bytes apart.

    Raises:
        InputError: an encoding that is not in `COLOR_ENCODINGS`, or sizes that do not fit.
    """
    channels, conversion = _look_up(COLOR_ENCODINGS, encoding, "image")
    pixels = _rows(data, (height, width, step), is_bigendian, np.dtype(np.uint8), channels)
    if conversion is not None:
        return cv2.cvtColor(pixels, conversion)
    return np.require(pixels, requirements=["C", "W"])


def decode_depth(
    data: bytes | np.ndarray,
    encoding: str,
    *,
    height: int,
    width: int,
    step: int,
    is_bigendian: int = 0,
) -> np.ndarray:
    """(H, W) float32 metres of a 32FC1 (m) or 16UC1 (mm) buffer; NaN where not a positive number.

    Raises:
        InputError: an encoding that is not in `DEPTH_ENCODINGS`, or sizes that do not fit.
    """
    scalar, metres = _look_up(DEPTH_ENCODINGS, encoding, "depth image")
    raw = _rows(data, (height, width, step), is_bigendian, np.dtype(scalar), 1)[..., 0]
    depth = np.multiply(raw, np.float32(metres), dtype=np.float32)
    depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    return depth


def decode_labels(
    data: bytes | np.ndarray,
    encoding: str,
    *,
    height: int,
    width: int,
    step: int,
    is_bigendian: int = 0,
) -> np.ndarray:
    """(H, W) uint8 labels (0 = tissue, 1.. = tool) of a mono8 or 16UC1 buffer.

    Raises:
        InputError: an encoding that is not in `LABEL_ENCODINGS`, sizes that do not fit, or a
            label above 255.
    """
    scalar = _look_up(LABEL_ENCODINGS, encoding, "label image")
    labels = _rows(data, (height, width, step), is_bigendian, np.dtype(scalar), 1)[..., 0]
    if labels.dtype != np.uint8 and labels.max() > 255:
        raise InputError(f"label {labels.max()}: at most 255 is accepted")
    return np.require(labels, np.uint8, requirements=["C", "W"])


def decode_compressed(data: bytes | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a complete JPEG or PNG file.

    Raises:
        InputError: empty, cut off, or neither format.
    """
    return cv2.cvtColor(_decode_file(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def decode_compressed_plane(data: bytes | np.ndarray) -> np.ndarray:
    """(H, W) uint8 or uint16 of a complete single-channel file, values as stored.

    Raises:
        InputError: empty, cut off, not an image, or with colour channels.
    """
    plane = _decode_file(data, cv2.IMREAD_UNCHANGED)
    if plane.ndim != 2:
        raise InputError(f"image with {plane.shape[2]} channels: one is accepted")
    return plane


def encode_compressed(image: np.ndarray, suffix: str, jpeg_quality: int = 95) -> bytes:
    """The file of an RGB (H, W, 3) or grey (H, W) image.

    Args:
        image: uint8, or uint16 for png.
        suffix: "jpeg" or "png".
        jpeg_quality: 0..100; 95 keeps fine texture for stereo matching.

    Raises:
        InputError: another suffix.
    """
    if suffix not in ("jpeg", "png"):
        raise InputError(f"image format {suffix!r}: jpeg and png are accepted")
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if suffix == "jpeg" else []
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(f".{suffix}", bgr, options)[1].tobytes()


def _look_up(table: dict, encoding: str, what: str) -> tuple | type:
    """The entry of an encoding, or one sentence with the accepted ones."""
    if encoding not in table:
        raise InputError(f"{what} encoding {encoding!r}: accepted are {', '.join(table)}")
    return table[encoding]


def _rows(
    data: bytes | np.ndarray,
    size: tuple[int, int, int],
    is_bigendian: int,
    dtype: np.dtype,
    channels: int,
) -> np.ndarray:
    """(H, W, C) array in native byte order; a view of the data where rows are not padded."""
    height, width, step = size
    if height <= 0 or width <= 0:
        raise InputError(f"image size {width}x{height}: both must be positive")
    row = width * channels * dtype.itemsize
    if step < row:
        raise InputError(
            f"image step {step} bytes: {width} pixels of {channels} x {dtype} need {row}"
        )
    flat = np.frombuffer(data, np.uint8)
    if flat.size < step * height:
        raise InputError(
            f"image data of {flat.size} bytes: step {step} x height {height} need {step * height}"
        )
    rows = np.ascontiguousarray(flat[: step * height].reshape(height, step)[:, :row])
    ordered = rows.view(dtype.newbyteorder(">" if is_bigendian else "<"))
    return ordered.reshape(height, width, channels).astype(dtype, copy=False)


def _decode_file(data: bytes | np.ndarray, flags: int) -> np.ndarray:
    """OpenCV's decoding of a complete file, channels in OpenCV's order."""
    flat = np.frombuffer(data, np.uint8)
    head, tail = flat[:2].tobytes(), flat[-TAIL_BYTES:].tobytes()
    if head not in END_MARKERS:
        raise InputError(
            f"compressed image of {flat.size} bytes starts with {head!r}: "
            "complete JPEG and PNG files are accepted"
        )
    image = cv2.imdecode(flat, flags) if END_MARKERS[head] in tail else None
    if image is None:
        raise InputError(f"compressed image of {flat.size} bytes is cut off or damaged")
    return image
