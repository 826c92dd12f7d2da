"""A plain video: one camera, or both eyes in one picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.calibration import CameraFile, read_camera_file, resized_pair
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.datasets.videos.file import VideoFile, fitted
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import packing
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

TICK = 1.5e-3  # s; containers round times to milliseconds
SAME_RATE = 1e-3  # relative
LOOKED_AT = 3  # frames that are searched for a second eye


class VideoSequence(Sequence):
    """A video file, calibrated where `<name>.json` lies beside `<name>.mp4`.

    That file is the `camera.json` of a clip folder (`calibration.json` where both eyes are in the
    picture): image_size [width, height], fx, fy, cx, cy in pixels, optionally distortion (OpenCV's
    order), and fps, which is believed rather than the video's header. It may be for another
    resolution of the same aspect ratio. Stamps follow the container's own times where these are
    not those of a constant rate.

    Args:
        path: the video.
        start: stamp of the first frame in nanoseconds.
        image_layout: a layout of `packing.LAYOUTS`; None refuses pictures that look like both eyes.

    Raises:
        InputError: no readable video, both eyes in one picture, or a camera file that does not
            fit it.
    """

    def __init__(self, path: Path, start: int = 0, image_layout: str | None = None) -> None:
        self.name = shown(path.stem)
        self.report = InputReport()
        self._start, self._layout = start, packing.require_layout(image_layout or packing.SINGLE)
        self._video = VideoFile(path)
        beside = path.with_suffix(".json")
        given = read_camera_file(beside) if beside.is_file() else None
        self._turn(given, beside)
        self._video.tell_loss(self.report, self.name)
        if image_layout is None:
            packing.require_single(self._some_frames(), shown(path))
        self.fps = given.fps if given else self._video.fps
        self._keeps_time = abs(self.fps / self._video.fps - 1) < SAME_RATE
        if given is not None:
            self._set_cameras(given, beside)

    def __len__(self) -> int:
        return self._video.count

    def __iter__(self) -> Iterator[Frame]:
        first, last = None, self._start - self._interval
        for i, (time, image) in enumerate(self._video.timed_frames([range(len(self))])):
            first = time if first is None else first
            stamp = self._stamp(i, time - first)
            last = stamp if stamp > last else last + self._interval
            left, right = packing.split(image, self._layout)
            yield Frame(last, left, LEFT_FRAME, self.camera, right, self.stereo)

    @property
    def _interval(self) -> int:
        return stamp_of(1, self.fps)

    def _stamp(self, i: int, time: float) -> int:
        """The container's time, unless it is that of a constant rate up to rounding.

        Negative where the container has none: the frame then follows the last one.
        """
        nominal = stamp_of(i, self.fps)
        if not self._keeps_time or abs(time - nominal * 1e-9) <= TICK:
            return self._start + nominal
        return self._start + round(time * 1e9) if np.isfinite(time) else -1

    def _turn(self, given: CameraFile | None, beside: Path) -> None:
        """Decide whether pictures are turned where the container asks for it."""
        turned, name = self._video.turned, shown(self._video.path.name)
        if not turned:
            return
        wanted = given.turned if given else True
        stored = VideoFile(self._video.path, turn=False)
        if wanted is None and turned != 180:  # the shape of the picture tells
            wanted = _fits(given, self._video.size)
        if wanted is None:
            raise InputError(
                f"{shown(self._video.path)} asks for pictures turned by {turned} degrees: "
                f'{shown(beside.name)} has to say "turned": true if it is of turned pictures, or '
                "false if it is of those in the file"
            )
        self._video = self._video if wanted else stored
        what = "turned as the container asks" if wanted else "not turned, as the camera file says"
        self.report.converted(name, "turned", f"pictures are {what}: {turned} degrees")

    def _set_cameras(self, given: CameraFile, beside: Path) -> None:
        size = packing.eye_size(self._video.size, self._layout)
        self.camera = fitted(given.camera, size, beside)
        if self._layout in packing.PACKED and given.stereo is not None:
            self.stereo = resized_pair(given.stereo, size)

    def _some_frames(self) -> list[np.ndarray]:
        count = min(LOOKED_AT, len(self))
        return list(self._video.frames([range(count)]))


def _fits(given: CameraFile, size: tuple[int, int]) -> bool:
    """Whether a calibration is of pictures of this shape rather than of the other one."""
    upright = given.camera.width >= given.camera.height
    return upright == (size[0] >= size[1])
