"""A plain video of one camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from endosfm3d_ros.datasets.calibration import read_camera_file
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.datasets.video_file import VideoFile, fitted
from endosfm3d_ros.types import Frame


class VideoSequence(Sequence):
    """A video file, calibrated where `<name>.json` lies beside `<name>.mp4`.

    That file is the `camera.json` of a clip folder: image_size [width, height], fx, fy, cx, cy in
    pixels, optionally distortion (OpenCV's order), and fps, which is believed rather than the
    video's header. It may be for another resolution of the same aspect ratio.

    Args:
        path: the video.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no readable video, or a camera file that does not fit it.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.name = path.stem
        self._video = VideoFile(path)
        self._start = start
        self.fps = self._video.fps
        beside = path.with_suffix(".json")
        if beside.is_file():
            given = read_camera_file(beside)
            self.camera = fitted(given.camera, self._video.size, beside)
            self.fps = given.fps

    def __len__(self) -> int:
        return self._video.count

    def __iter__(self) -> Iterator[Frame]:
        for i, image in enumerate(self._video.frames([range(len(self))])):
            yield Frame(stamp_of(i, self.fps, self._start), image, LEFT_FRAME, self.camera)
