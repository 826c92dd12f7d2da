"""A film that browsers, slides and code hosts play: H.264 in MP4, the index at the front.

OpenCV's wheels have no encoder for H.264; PyAV has. Where PyAV is missing the film is VP9 in MP4,
which browsers play too.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from endosfm3d_ros.files.cv_files import open_video_writer

QUALITY = {"crf": "20", "preset": "veryfast"}  # 20: no visible loss on endoscopic video


class FilmFile:
    """Takes RGB frames of one size; the file is complete after `close`.

    Args:
        path: of the MP4.
        fps: frames per second.
        size: (width, height), both even.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._encoder = _encoder(path, fps, size)

    def write(self, image: np.ndarray) -> None:
        """One (H, W, 3) uint8 RGB frame."""
        self._encoder.write(image)

    def close(self) -> None:
        """Finish the file."""
        self._encoder.close()


def _encoder(path: Path, fps: float, size: tuple[int, int]) -> _H264 | _VP9:
    with suppress(ImportError):
        return _H264(path, fps, size)
    return _VP9(path, fps, size)


class _H264:
    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        import av

        av.logging.set_level(av.logging.ERROR)
        # by its number: a path need not be UTF-8, and the index is moved to the front at the end
        self._file = path.open("w+b")
        options = {"movflags": "+faststart"}
        name = f"/proc/self/fd/{self._file.fileno()}"
        self._container: Any = av.open(name, "w", format="mp4", options=options)
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options=QUALITY)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"  # the only one that all browsers play
        self._av = av

    def write(self, image: np.ndarray) -> None:
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()
        self._file.close()


class _VP9:
    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._writer = open_video_writer(path, fps, size, "vp09")

    def write(self, image: np.ndarray) -> None:
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()
