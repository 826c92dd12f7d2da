"""Compressed pictures to arrays: what the file says is read before it is decoded.

JPEG and PNG are looked through first, so that a cut file, a header that promises a picture of
gigabytes, and bytes before or behind the picture are known. Colours follow `format` as
compressed_image_transport writes and reads it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.encodings import BAYER, eight_bits, significant_bits

LARGEST_PIXELS = 8192 * 4320  # a frame of 8K film; no endoscope has more
JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
SEARCHED = 65_536  # bytes before a picture that some senders put there
# In entropy-coded data a marker is 0xff and neither a stuffed zero, a restart nor padding.
MARKER_IN_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


@dataclass(frozen=True)
class FileHead:
    """What a picture's file says of itself, and where it lies in the data."""

    kind: str  # jpeg | png
    width: int
    height: int
    channels: int
    bits: int  # of one channel
    start: int
    end: int
    used_bits: int | None = None  # of 16, where the file tells


def read_head(data: bytes) -> FileHead:
    """The head of the complete picture in `data`.

    Raises:
        InputError: neither JPEG nor PNG, cut off, of an impossible size, or of a size that no
            endoscope has.
    """
    starts = {kind: data.find(mark, 0, SEARCHED) for kind, mark in
              (("jpeg", JPEG_START), ("png", PNG_START))}  # fmt: skip
    found = {kind: at for kind, at in starts.items() if at >= 0}
    if not found and data and any(mark.startswith(data) for mark in (JPEG_START, PNG_START)):
        raise InputError(f"compressed image of {len(data)} bytes is cut off")
    if not found:
        raise InputError(
            f"compressed image of {len(data)} bytes starts with {data[:2]!r}: "
            "complete JPEG and PNG files are accepted"
        )
    kind = min(found, key=lambda name: found[name])
    try:
        head = (_jpeg_head if kind == "jpeg" else _png_head)(data, found[kind])
    except (struct.error, IndexError):
        head = None
    if head is None:
        raise InputError(f"compressed image of {len(data)} bytes is cut off or damaged")
    check_head(head)
    return head


def check_head(head: FileHead) -> None:
    """Refuse what must not be decoded.

    Raises:
        InputError: of an impossible size, or of a size that no endoscope has.
    """
    if head.width * head.height == 0 or head.width * head.height > LARGEST_PIXELS:
        raise InputError(
            f"compressed image says {head.width}x{head.height} px: 1 to {LARGEST_PIXELS} pixels "
            "are accepted"
        )
    if head.kind == "jpeg" and head.bits != 8:
        raise InputError(f"JPEG with {head.bits} bits: 8 are accepted, or 16 as PNG")


def decode_compressed(
    data: bytes | np.ndarray,
    format: str = "",
    bits_of: Callable[[np.ndarray], int] | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a complete JPEG or PNG file.

    Args:
        data: the file; bytes before and behind the picture are left out.
        format: as in sensor_msgs/CompressedImage; tells Bayer patterns, and colours that were
            stored in another order.
        bits_of: as in `encodings.decode_image`.

    Raises:
        InputError: empty, cut off, too large, or neither format.
    """
    content = bytes(memoryview(data))
    head = read_head(content)
    if head.channels in (2, 4):  # OpenCV leaves the colour behind alpha as it is
        head_flags = cv2.IMREAD_COLOR
    else:
        head_flags = cv2.IMREAD_COLOR if head.channels == 3 else cv2.IMREAD_GRAYSCALE
    pixels = _decoded(content, head, head_flags | cv2.IMREAD_ANYDEPTH)
    bits = 8
    if pixels.dtype == np.uint16:
        bits = head.used_bits or (bits_of or significant_bits)(pixels)
    return eight_bits(_as_rgb(pixels, format), bits)


def decode_compressed_plane(data: bytes | np.ndarray) -> np.ndarray:
    """(H, W) uint8 or uint16 of a complete single-channel file, values as stored.

    A colour file whose channels are equal counts as one.

    Raises:
        InputError: empty, cut off, not an image, one that changes its values, or with colours.
    """
    content = bytes(memoryview(data))
    head = read_head(content)
    if head.kind == "jpeg":
        raise InputError("depth or labels as JPEG: it changes the values; PNG is accepted")
    plane = _decoded(content, head, cv2.IMREAD_UNCHANGED)
    if plane.ndim == 3 and (plane[..., :3] == plane[..., :1]).all():
        plane = np.ascontiguousarray(plane[..., 0])
    if plane.ndim != 2:
        raise InputError(f"image with {plane.shape[2]} channels: one is accepted")
    return plane


def orientation(data: bytes) -> int:
    """How an EXIF header says the picture is to be turned: 1 (not) to 8; 1 where there is none."""
    at = data.find(b"Exif\x00\x00", 0, SEARCHED)
    if at < 0:
        return 1
    base = at + 6
    order = "<" if data[base : base + 2] == b"II" else ">"
    try:
        first = base + struct.unpack_from(order + "I", data, base + 4)[0]
        for i in range(struct.unpack_from(order + "H", data, first)[0]):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, first + 2 + 12 * i)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def stored_exchanged(format: str) -> bool:
    """Whether red and blue are exchanged in the file: image_transport's "...compressed rgb8"."""
    encoding, _, stored = format.partition(";")
    colour = any(encoding.strip().startswith(name) for name in ("rgb", "bgr"))
    return colour and "compressed rgb" in stored


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


def _as_rgb(pixels: np.ndarray, format: str) -> np.ndarray:
    """RGB of what OpenCV decoded: grey, a Bayer mosaic, or blue, green, red."""
    pattern = format.partition(";")[0].strip()
    if pixels.ndim == 2:
        bayer = BAYER.get(pattern[6:10]) if pattern.startswith("bayer_") else None
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if bayer is None else bayer)
    if stored_exchanged(format):
        return np.ascontiguousarray(pixels[..., :3])
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _decoded(content: bytes, head: FileHead, flags: int) -> np.ndarray:
    """OpenCV's decoding of the picture alone, channels in OpenCV's order, turned as EXIF says."""
    data = content[head.start : head.end]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"compressed image of {len(content)} bytes is cut off or damaged")
    # OpenCV does not turn what is read unchanged; masks turn as pictures do.
    turn = orientation(data) if flags == cv2.IMREAD_UNCHANGED else 1
    return np.ascontiguousarray(_turned(image, turn))


def _turned(image: np.ndarray, turn: int) -> np.ndarray:
    """An image upright, by the number of its EXIF orientation."""
    if turn in (5, 6, 7, 8):
        image = np.swapaxes(image, 0, 1)
    if turn in (2, 3, 6, 7):
        image = image[:, ::-1]
    if turn in (3, 4, 7, 8):
        image = image[::-1]
    return image


def _jpeg_head(data: bytes, start: int) -> FileHead | None:
    """Segments up to the end of the picture; None where that never comes."""
    at, size = start + 2, None
    while True:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker == 0xD9:
            if size is None:
                return None
            bits, height, width, channels = size
            return FileHead("jpeg", width, height, channels, bits, start, at + 2)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            if marker in FRAME_MARKERS:
                size = struct.unpack_from(">BHHB", data, at + 4)
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
            if marker == 0xDA:  # entropy-coded data follow
                found = MARKER_IN_DATA.search(data, at)
                if found is None:
                    return None
                at = found.start()


def _png_head(data: bytes, start: int) -> FileHead | None:
    """Chunks up to the end of the picture; None where that never comes."""
    at, head, used = start + 8, None, None
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return None
        if name == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
            head = (width, height, {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour, 0), bits)
        elif name == b"sBIT":
            used = max(data[at + 8 : at + 8 + length])
        at += 12 + length
        if name == b"IEND":
            return head and FileHead("png", *head, start, at, used)
