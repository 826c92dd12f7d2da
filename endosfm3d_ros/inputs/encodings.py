"""Raw image buffers to arrays, with every size checked before a byte is read.

Encodings are those of sensor_msgs/image_encodings; depth units follow REP 118. `images` offers the
same functions to those who stand below.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

U8, U16 = np.uint8, np.uint16
# encoding -> (channels, type, conversion of OpenCV that leads to RGB; None = already RGB)
COLOR_ENCODINGS: dict[str, tuple[int, type, int | None]] = {
    "rgb8": (3, U8, None),
    "bgr8": (3, U8, cv2.COLOR_BGR2RGB),
    "rgba8": (4, U8, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, U8, cv2.COLOR_BGRA2RGB),
    "mono8": (1, U8, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, U8, cv2.COLOR_GRAY2RGB),
    "8UC3": (3, U8, cv2.COLOR_BGR2RGB),
    "8UC4": (4, U8, cv2.COLOR_BGRA2RGB),
    "mono16": (1, U16, cv2.COLOR_GRAY2RGB),
    "16UC1": (1, U16, cv2.COLOR_GRAY2RGB),
    "rgb16": (3, U16, None),
    "bgr16": (3, U16, cv2.COLOR_BGR2RGB),
    "rgba16": (4, U16, cv2.COLOR_RGBA2RGB),
    "bgra16": (4, U16, cv2.COLOR_BGRA2RGB),
    "16UC3": (3, U16, cv2.COLOR_BGR2RGB),
    "16UC4": (4, U16, cv2.COLOR_BGRA2RGB),
}
# OpenCV names a pattern by its second row and column, ROS by its first.
BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
for _pattern, _code in BAYER.items():
    COLOR_ENCODINGS[f"bayer_{_pattern}8"] = (1, U8, _code)
    COLOR_ENCODINGS[f"bayer_{_pattern}16"] = (1, U16, _code)
INTERLEAVED = {  # two bytes a pixel, chroma shared by two neighbours
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}  # chroma at half size
READABLE = (*COLOR_ENCODINGS, *INTERLEAVED, *PLANAR, "nv24")
# What an encoding leaves open, and what is taken then.
ASSUMED = {
    "8UC1": "8UC1 says no colour: grey is taken",
    "8UC3": "8UC3 says no order of colours: OpenCV's blue, green, red is taken",
    "8UC4": "8UC4 says no order of colours: OpenCV's blue, green, red, alpha is taken",
    "16UC1": "16UC1 says no colour: grey is taken",
    "16UC3": "16UC3 says no order of colours: OpenCV's blue, green, red is taken",
    "16UC4": "16UC4 says no order of colours: OpenCV's blue, green, red, alpha is taken",
}
DEPTH_ENCODINGS: dict[str, tuple[type, float]] = {  # encoding -> (dtype, metres per unit)
    "32FC1": (np.float32, 1.0),
    "16UC1": (np.uint16, 1e-3),
    "mono16": (np.uint16, 1e-3),
    "64FC1": (np.float64, 1.0),
}
LABEL_ENCODINGS: dict[str, type] = {
    "mono8": np.uint8,
    "16UC1": np.uint16,
    "8UC1": np.uint8,
    "8SC1": np.int8,
    "mono16": np.uint16,
    "16SC1": np.int16,
    "32SC1": np.int32,
}
UNKNOWN = 0xFFFF  # of 16-bit depth: 65 m
ROUGHER = 4.0  # times: neighbours in bytes of the wrong order, against the right one
BIT_DEPTHS = (8, 10, 12, 14, 16)  # of sensors; a wider one never fills a narrower range alone


def decode_image(
    data: bytes | np.ndarray,
    encoding: str,
    *,
    height: int,
    width: int,
    step: int,
    is_bigendian: int = 0,
    bits_of: Callable[[np.ndarray], int] | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a colour or grey buffer whose rows are `step` bytes apart.

    Args:
        data: the buffer; more than is needed is allowed.
        encoding: one of `READABLE`.
        height: of the picture in px.
        width: of the picture in px.
        step: bytes from one row to the next.
        is_bigendian: byte order of 16-bit values.
        bits_of: how many of the 16 bits a buffer uses; that of its largest value by default.

    Raises:
        InputError: an encoding that is not in `READABLE`, or sizes that do not fit.
    """
    size = (height, width, step)
    if encoding in INTERLEAVED:
        _require_even(encoding, width, 2)
        return cv2.cvtColor(_rows(data, size, 0, np.dtype(U8), 2), INTERLEAVED[encoding])
    if encoding in PLANAR or encoding == "nv24":
        return _planar(data, encoding, size)
    if encoding not in COLOR_ENCODINGS:
        raise InputError(f"image encoding {encoding!r}: accepted are {', '.join(READABLE)}")
    channels, scalar, conversion = COLOR_ENCODINGS[encoding]
    pixels = _rows(data, size, is_bigendian, np.dtype(scalar), channels)
    if encoding.startswith("bayer"):
        _require_even(encoding, width, 2)
        pixels = pixels[..., 0]
    if scalar is U16:
        _require_order(pixels)
    bits = (bits_of or significant_bits)(pixels) if scalar is U16 else 8
    if conversion is not None:
        pixels = cv2.cvtColor(pixels, conversion)
    return np.require(eight_bits(pixels, bits), requirements=["C", "W"])


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
    return metric_depth(raw, metres)


def metric_depth(raw: np.ndarray, metres: float) -> np.ndarray:
    """(H, W) float32 metres of raw values worth `metres` each.

    NaN where not a positive number, or the largest of 16 bits, which senders use for unknown.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        depth = np.multiply(raw, np.float32(metres), dtype=np.float32, casting="unsafe")
        depth[~((depth > 0) & np.isfinite(depth))] = np.nan
        if raw.dtype == np.uint16:
            depth[raw == UNKNOWN] = np.nan
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
    """(H, W) uint8 labels (0 = tissue, 1.. = tool) of a one-channel integer buffer.

    Raises:
        InputError: an encoding that is not in `LABEL_ENCODINGS`, sizes that do not fit, or a
            label below 0 or above 255.
    """
    scalar = _look_up(LABEL_ENCODINGS, encoding, "label image")
    labels = _rows(data, (height, width, step), is_bigendian, np.dtype(scalar), 1)[..., 0]
    return small_labels(labels)


def small_labels(labels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of integer labels.

    Raises:
        InputError: a label below 0 or above 255.
    """
    if labels.dtype != np.uint8 and labels.size:
        if labels.max() > 255:
            raise InputError(f"label {labels.max()}: at most 255 is accepted")
        if labels.min() < 0:
            raise InputError(f"label {labels.min()}: 0 to 255 are accepted")
    return np.require(labels, np.uint8, requirements=["C", "W"])


def significant_bits(pixels: np.ndarray) -> int:
    """The width of the sensor that could have sent these 16-bit values: one of `BIT_DEPTHS`."""
    top = int(pixels.max()) if pixels.size else 0
    return next(bits for bits in BIT_DEPTHS if top < 1 << bits)


def eight_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """uint8 of values that fill `bits` bits, rounded; uint8 comes back as it is."""
    if pixels.dtype == np.uint8:
        return pixels
    return cv2.convertScaleAbs(pixels, alpha=255.0 / ((1 << bits) - 1))


def _require_order(pixels: np.ndarray) -> None:
    """Refuse 16-bit values whose bytes are plainly exchanged: neighbours are alike in pictures."""
    rows = pixels[::8]
    given, exchanged = (_roughness(order) for order in (rows, rows.byteswap()))
    if given > ROUGHER * exchanged:
        raise InputError(
            f"16-bit values look as if their bytes were exchanged (neighbours differ by "
            f"{given:.0%} of the range, by {exchanged:.0%} in the other order): is_bigendian must "
            "say how they are stored"
        )


def _roughness(pixels: np.ndarray) -> float:
    """Mean difference of neighbours in a row as a share of the range."""
    span = int(np.ptp(pixels))
    if span == 0 or pixels.shape[1] < 3:
        return 0.0
    step = 2 if pixels.ndim == 2 else 1  # of a mosaic, like colours
    return float(np.abs(np.diff(pixels[:, ::step].astype(np.int32), axis=1)).mean()) / span


def _planar(data: bytes | np.ndarray, encoding: str, size: tuple[int, int, int]) -> np.ndarray:
    """RGB of a full luminance plane with interleaved chroma behind it."""
    height, width, step = size
    if encoding == "nv24":  # chroma at full size, rows twice as long
        luma = _rows(data, size, 0, np.dtype(U8), 1)
        rest = np.frombuffer(data, U8)[step * height :]
        chroma = _rows(rest, (height, width, 2 * step), 0, np.dtype(U8), 2)
        return _from_full_chroma(np.concatenate([luma, chroma], axis=-1))
    _require_even(encoding, width, 2)
    _require_even(encoding, height, 2, "height")
    planes = _rows(data, (height * 3 // 2, width, step), 0, np.dtype(U8), 1)
    return cv2.cvtColor(planes, PLANAR[encoding])


def _from_full_chroma(yuv: np.ndarray) -> np.ndarray:
    """RGB of (H, W, 3) Y, Cb, Cr in studio range (ITU-R BT.601), as the other YUV encodings."""
    y, u, v = (yuv[..., i].astype(np.float32) for i in range(3))
    y, u, v = 1.164 * (y - 16), u - 128, v - 128
    rgb = np.stack([y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u], axis=-1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _require_even(encoding: str, length: int, step: int, what: str = "width") -> None:
    if length % step:
        raise InputError(f"image of {what} {length} px: {encoding} needs a multiple of {step}")


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
