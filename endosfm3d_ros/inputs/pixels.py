"""Image messages of one topic to arrays, for rclpy's messages and those of `rosbags` alike.

Both kinds of message fit because only their fields are read; no ROS package is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import compressed, encodings
from endosfm3d_ros.inputs.compressed_depth import decode_compressed_depth
from endosfm3d_ros.inputs.plausibility import require_depth
from endosfm3d_ros.inputs.report import InputReport

COLOURS = ("rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "8UC4")  # that labels may come in
LAYOUT = ("data", "encoding", "height", "width", "step", "is_bigendian")


class PixelReader:
    """Reads the pictures, depth or labels of one topic, and remembers what its stream shows.

    Args:
        topic: how the report calls the input: the resolved topic, or a file.
        report: hears what was converted, assumed or refused; a refusal is settled by the next
            message that can be read.
        other: reads pictures of encodings that are not in `encodings.READABLE`, as cv_bridge does.
    """

    def __init__(
        self,
        topic: str,
        report: InputReport | None = None,
        other: Callable[[Any], np.ndarray] | None = None,
    ) -> None:
        self.topic = topic
        self._other = other
        self.report = report or InputReport()
        self._bits = 8  # of 16; never falls, so that the brightness of a stream does not jump

    def picture(self, message: Any) -> np.ndarray:
        """(H, W, 3) uint8 RGB of an Image or CompressedImage.

        Raises:
            InputError: an encoding or file that cannot be read; it stays in the report until one
                can.
        """
        return self._settled(self._picture, message)

    def depth(self, message: Any) -> np.ndarray:
        """(H, W) float32 metres of an Image or CompressedImage, NaN invalid.

        Raises:
            InputError: as `picture`, or values that no endoscope sees.
        """
        return self._settled(self._depth, message)

    def labels(self, message: Any) -> np.ndarray:
        """(H, W) uint8 labels of an Image or CompressedImage; 0 is tissue.

        Raises:
            InputError: as `picture`, or labels that are no small integers.
        """
        return self._settled(self._labels, message)

    def _settled(self, read: Any, message: Any) -> np.ndarray:
        try:
            array = read(message)
        except InputError as error:
            cure = "let the sender use an accepted encoding, unit or format"
            self.report.refused(self.topic, "pixels", str(error), cure)
            raise
        self.report.settle(self.topic, "pixels")
        return array

    def _picture(self, message: Any) -> np.ndarray:
        if not is_compressed(message):
            if self._other is not None and message.encoding not in encodings.READABLE:
                return self._other(message)
            self._note_encoding(message.encoding)
            return encodings.decode_image(**layout(message), bits_of=self._bits_of)
        self._note_format(message)
        return compressed.decode_compressed(message.data, message.format, self._bits_of)

    def _depth(self, message: Any) -> np.ndarray:
        if is_compressed(message):
            depth = decode_compressed_depth(message.data, message.format)
        else:
            depth = encodings.decode_depth(**layout(message))
            if message.encoding == "mono16":
                self.report.assumed(self.topic, "unit", "mono16 depth is read as millimetres")
        return require_depth(depth)

    def _labels(self, message: Any) -> np.ndarray:
        if is_compressed(message):
            return encodings.small_labels(compressed.decode_compressed_plane(message.data))
        if message.encoding in COLOURS:
            return _grey_of_colour(encodings.decode_image(**layout(message)), message.encoding)
        return encodings.decode_labels(**layout(message))

    def _bits_of(self, pixels: np.ndarray) -> int:
        bits = encodings.significant_bits(pixels)
        if bits > self._bits:
            self._bits = bits
            self.report.assumed(
                self.topic, "bits", f"16-bit values fill {bits} bits: these are taken as the range"
            )
        return self._bits

    def _note_encoding(self, encoding: str) -> None:
        if encoding in encodings.ASSUMED:
            cure = "name the encoding rgb8, bgr8 or mono8 at the sender"
            self.report.assumed(self.topic, "encoding", encodings.ASSUMED[encoding], cure)

    def _note_format(self, message: Any) -> None:
        if compressed.stored_exchanged(message.format):
            sentence = f"format {message.format!r} stores blue as red: put right"
            self.report.converted(self.topic, "format", sentence)
        turn = compressed.orientation(bytes(memoryview(message.data)[: compressed.SEARCHED]))
        if turn != 1:
            sentence = f"EXIF orientation {turn}: turned, and calibration is read as of the result"
            self.report.converted(self.topic, "orientation", sentence)
        else:
            self.report.settle(self.topic, "orientation")


def is_compressed(message: Any) -> bool:
    """Whether this is a CompressedImage."""
    return not hasattr(message, "encoding")


def layout(message: Any) -> dict[str, Any]:
    """The arguments of `encodings.decode_*` of an Image."""
    return {name: getattr(message, name) for name in LAYOUT}


def _grey_of_colour(image: np.ndarray, encoding: str) -> np.ndarray:
    """A label image that was sent in colour, if its channels agree."""
    if (image != image[..., :1]).any():
        accepted = ", ".join(encodings.LABEL_ENCODINGS)
        raise InputError(f"label image encoding {encoding!r} with colours: accepted are {accepted}")
    return np.ascontiguousarray(image[..., 0])
