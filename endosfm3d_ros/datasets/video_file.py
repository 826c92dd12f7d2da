"""Frames of a video file by their position."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# Read by OpenCV when it first meets a video: FFmpeg's own lines would surround our sentence.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera

END_SLACK = 2  # frames; the header's count is an estimate in containers without an index
ASPECT_TOLERANCE = 0.01  # relative; a crop shows as more


class VideoFile:
    """What a video's header says, and its frames.

    Attributes:
        path: the file.
        fps: frames per second.
        count: frames.
        size: (width, height) in pixels.

    Raises:
        InputError: no video that OpenCV can decode, or one without frames, size or rate.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as capture:
            self.fps = float(capture.get(cv2.CAP_PROP_FPS))
            self.count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
            self.size = tuple(int(capture.get(side)) for side in sides)
            self._even = self._evenly_spaced(capture)
        if self.count < 1 or min(self.size) < 1 or not 0 < self.fps < 1e4:
            raise InputError(
                f"{path} says {self.count} frames of {self.size[0]}x{self.size[1]} at "
                f"{self.fps:g} fps: all must be positive"
            )

    def frames(self, spans: Iterable[range]) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB of the frames at these positions, 0 .. count - 1, in order.

        Raises:
            InputError: the file ends early.
        """
        with self._opened() as capture:
            at = 0
            for span in spans:
                self._skip(capture, at, span.start)
                for at in span:
                    read, image = capture.read()
                    if not read and at >= self.count - END_SLACK:
                        return
                    if not read:
                        raise InputError(
                            f"{self.path} ends after {at} of {self.count} frames: "
                            "it is cut off or damaged"
                        )
                    yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                at = span.stop

    def _skip(self, capture: cv2.VideoCapture, at: int, target: int) -> None:
        """Go from one position to a later one; seeking counts by time, so it needs even frames."""
        if target > at and self._even:
            capture.set(cv2.CAP_PROP_POS_FRAMES, target)
            return
        for _ in range(target - at):
            capture.grab()

    def _evenly_spaced(self, capture: cv2.VideoCapture) -> bool:
        """Whether the first interval, times the count, is the duration within half a frame."""
        times = [capture.get(cv2.CAP_PROP_POS_MSEC) for _ in range(2) if capture.grab()]
        if len(times) < 2 or not self.fps:
            return False
        frames_by_time = self.count / self.fps * 1e3 / max(times[1] - times[0], 1e-3)
        return abs(frames_by_time - self.count) < 0.5

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        capture = cv2.VideoCapture(str(self.path))
        try:
            if not capture.isOpened():
                raise InputError(
                    f"{self.path} cannot be read as a video: it is no video or damaged"
                )
            yield capture
        finally:
            capture.release()


def fitted(camera: PinholeCamera, size: tuple[int, int], path: Path) -> PinholeCamera:
    """A calibration made at another resolution, for the video's own.

    Raises:
        InputError: the aspect ratios differ.
    """
    width, height = size
    if abs(camera.width * height / (camera.height * width) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{path} is for images of {camera.width}x{camera.height}, but the video has "
            f"{width}x{height}: the aspect ratios must agree"
        )
    return camera.resized(width, height)
