"""Frames of a video file by their position, with the container's own times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.videos.ending import is_cut, lacks_index
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.cv_files import open_video
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.report import InputReport

COMPLETE = 0.95  # of the frames of a header that only estimates them
END_SLACK = 2  # frames; some headers count what the decoder never shows
COUNTED_SLACK = 0.02  # of the frames: packets before the first key frame show nothing
INDEXED = (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".avi", ".divx")
FASTEST = 1000.0  # fps; above, the header gives the ticks of its clock
ASPECT_TOLERANCE = 0.01  # relative; a crop shows as more


class VideoFile:
    """What a video's header says, and its frames.

    Where a container has no index, or its header no count or rate, the file is passed over once
    without decoding.

    Args:
        path: the file.
        turn: turn pictures as the container asks for, as players do; else they come as stored.

    Attributes:
        path: the file.
        fps: frames per second.
        count: frames.
        promised: frames by the header; 0 where it does not say.
        cut: whether the end of the file is missing.
        size: (width, height) in pixels of the frames that come.
        turned: degrees by which the container asks to turn pictures: 0, 90, 180 or 270.

    Raises:
        InputError: no video that OpenCV can decode, or one without frames, size or rate.
    """

    def __init__(self, path: Path, turn: bool = True) -> None:
        self.path, self._turn = path, turn
        with self._opened() as capture:
            self.fps = float(capture.get(cv2.CAP_PROP_FPS))
            self.count = int(np.clip(capture.get(cv2.CAP_PROP_FRAME_COUNT), 0, 1e9))
            self.promised = self.count
            sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
            self.size = tuple(int(capture.get(side)) for side in sides)
            self.turned = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
            self._even = self._evenly_spaced(capture)
        self._slack = END_SLACK
        self.cut = is_cut(path)
        indexed = path.suffix.lower() in INDEXED and not self.cut
        trusted = indexed and self.count > 0 and 0 < self.fps <= FASTEST
        if not trusted:
            self._pass_over()
        if self.count < 1 or min(self.size) < 1 or not 0 < self.fps <= FASTEST:
            raise InputError(
                f"{path} says {self.count} frames of {self.size[0]}x{self.size[1]} at "
                f"{self.fps:g} fps: all must be positive"
            )

    def tell_loss(self, report: InputReport, name: str) -> None:
        """Say of a video that is cut off what is left of it."""
        if self.cut or self.count < COMPLETE * self.promised:
            text = f"{self.count} of the {self.promised} frames of its header are there"
            report.missing(name, "frames", f"{text}: it may be cut off")

    def frames(self, spans: Iterable[range]) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB of the frames at these positions, 0 .. count - 1, in order.

        Raises:
            InputError: the file ends early.
        """
        return (image for _, image in self.timed_frames(spans))

    def timed_frames(self, spans: Iterable[range]) -> Iterator[tuple[float, np.ndarray]]:
        """The same, each with its time in the container in seconds; NaN where that has none."""
        with self._opened() as capture:
            at = 0
            for span in spans:
                self._skip(capture, at, span.start)
                for at in span:
                    read, image = capture.read()
                    if not read and at >= self.count - self._slack:
                        return
                    if not read:
                        raise InputError(
                            f"{self.path} ends after {at} of {self.count} frames: "
                            "it is cut off or damaged"
                        )
                    time = capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3
                    known = time != 0 or at == 0  # 0 is also what OpenCV says for none
                    yield time if known else np.nan, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                at = span.stop

    def _pass_over(self) -> None:
        """Count the packets, and take the rate of their times where the header has none."""
        times = []
        with self._opened(cv2.CAP_PROP_FORMAT, -1) as capture:  # packets as they are stored
            while capture.grab():
                times.append(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3)
        self.count = max(0, len(times) - self.cut)  # its last packet is not whole
        self._even = False
        self._slack = max(END_SLACK, round(COUNTED_SLACK * self.count))
        steps = np.diff(np.unique(times))
        if not 0 < self.fps <= FASTEST and len(steps):
            self.fps = round(1 / float(np.median(steps)), 3)

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
    def _opened(self, *parameters: int) -> Iterator[cv2.VideoCapture]:
        capture = open_video(self.path, *parameters)
        try:
            if not capture.isOpened():
                raise InputError(f"{self.path} cannot be read as a video: {_why(self.path)}")
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, float(self._turn))
            yield capture
        finally:
            capture.release()


def _why(path: Path) -> str:
    """What keeps a file from being opened."""
    if path.is_file() and lacks_index(path):
        return (
            "the list of its frames (moov), which a recorder writes at the end, is missing; repair "
            "it with a whole file of the same recorder (untrunc), or record as .mkv"
        )
    return "it is no video or damaged"


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
