"""StereoMIS sequence folders (Hayoz et al. 2023, Zenodo 8154924) as distributed.

One `*.mp4` with the left eye above the right one, unrectified, and `StereoCalibration.ini`.
Optionally `groundtruth.txt` (frames count from 0, metres, camera-to-world), `masks/%06dl.png`
(frames count from 1, 0 = instrument), `<split>_split.csv` (start,end; count from 1, the end is
outside) and `<video>.json` (a list of objects with "timestamp").
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.formats.matching import increasing
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.formats.poses import read_poses
from endosfm3d_ros.datasets.formats.references import numbered, require_some
from endosfm3d_ros.datasets.published.stereomis_calibration import read_stereo_calibration
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.datasets.videos.file import VideoFile
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.compressed import decode_compressed_plane
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

CALIBRATION = "StereoCalibration.ini"
NO_TIMES = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, OSError)
LEFT_MASK = re.compile(r"^(\d+)l$", re.ASCII)
TICKS = (1, 1e3, 1e6, 1e9)  # per second: the unit of time stamps is documented nowhere


class StereoMISSequence(Sequence):
    """A sequence folder; frame numbers count from 1 as in its mask files.

    Poses are the robot's, of the raw left eye, relative to the first frame of the video. The
    recording goes beyond the frames of the splits: set-up and tear-down are in the video too.

    Args:
        folder: the sequence folder.
        split: "test" or "train" takes the frames of that csv file; "" takes all.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: not exactly one video, no calibration, or files that do not fit each other.
    """

    def __init__(self, folder: Path, split: str = "", start: int = 0) -> None:
        self.folder = folder
        self.name = shown(folder.resolve().name)
        self.report = InputReport()
        self._video = VideoFile(_only_video(folder), turn=False)
        self._video.tell_loss(self.report, self._video.path.name)
        self.fps = self._video.fps
        width, stacked = self._video.size
        self._size = width, stacked // 2
        if not (folder / CALIBRATION).is_file():
            raise InputError(f"{folder} has no {CALIBRATION}: a plain video is given by its file")
        self.stereo = read_stereo_calibration(folder / CALIBRATION, self._size)
        self.camera = self.stereo.left
        self._spans = self._split(split) if split else [range(self._video.count)]
        self._positions = [position for span in self._spans for position in span]
        self._stamps = self._read_stamps(start)
        truth = folder / "groundtruth.txt"
        self._poses = read_poses(truth) if truth.is_file() else {}
        self._masks = _masks(folder / "masks")
        self._require_references(truth)

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Frame]:
        height = self._size[1]
        for stamp, image in zip(self._stamps, self._video.frames(self._spans)):
            yield Frame(
                stamp=stamp,
                image=image[:height],
                frame_id=LEFT_FRAME,
                camera=self.camera,
                right_image=image[height : 2 * height],
                stereo=self.stereo,
            )

    def number(self, i: int) -> int:
        return self._positions[i] + 1

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._poses.get(self._positions[i])

    def mask(self, i: int) -> np.ndarray | None:
        path = self._masks.get(self.number(i))
        if path is None:
            return None
        try:
            valid = decode_compressed_plane(path.read_bytes())
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return cv2.resize(valid, self._size, interpolation=cv2.INTER_NEAREST) == 0

    def _require_references(self, truth: Path) -> None:
        """What is there belongs to frames of the video, of whatever split."""
        count = self._video.count
        if truth.is_file():
            require_some(truth, self._poses, range(count), self.report)
        if (self.folder / "masks").is_dir():
            require_some(self.folder / "masks", self._masks, range(1, count + 1), self.report)

    def _split(self, name: str) -> list[range]:
        """Positions of a split's rows."""
        path = self.folder / f"{name}_split.csv"
        if not path.is_file():
            found = sorted(other.name for other in self.folder.glob("*_split.csv"))
            raise InputError(f"{self.folder} has no {path.name}, but {', '.join(found) or 'none'}")
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = [(int(row["start"]), int(row["end"])) for row in csv.DictReader(file)]
        except (KeyError, TypeError, ValueError, csv.Error, OSError) as error:
            raise InputError(f"{path}: whole numbers under start,end are accepted") from error
        spans = [range(first - 1, min(end - 1, self._video.count)) for first, end in rows]
        bounds = [bound for span in spans for bound in (span.start, span.stop)]
        if not spans or bounds[0] < 0 or sorted(bounds) != bounds or not all(spans):
            raise InputError(
                f"{path} has rows {rows}: increasing ranges within the video's "
                f"{self._video.count} frames are accepted"
            )
        return spans

    def _read_stamps(self, start: int) -> list[int]:
        """From the file beside the video, else from its frame rate; gaps stay gaps."""
        path = self._video.path.with_suffix(".json")
        if not path.is_file():
            first = self._positions[0]
            return [stamp_of(position - first, self.fps, start) for position in self._positions]
        try:
            times = [float(entry["timestamp"]) for entry in json.loads(path.read_text())]
            chosen = np.array([times[position] for position in self._positions])
            if not np.isfinite(times).all():
                raise ValueError
        except NO_TIMES as error:
            raise InputError(
                f"{path}: a list with a numeric timestamp for each of {self._video.count} frames "
                "is accepted"
            ) from error
        ticks = _ticks_per_second(np.array(times), self.fps)
        stamps = [start + round(float(time) * 1e9 / ticks) for time in chosen - chosen[0]]
        if len(increasing(stamps)) < len(stamps):
            raise InputError(f"{path}: time stamps must increase")
        return stamps


def _only_video(folder: Path) -> Path:
    videos = sorted(folder.glob("*.mp4"))
    if len(videos) != 1:
        raise InputError(f"{folder} has {len(videos)} .mp4 files: a sequence has one")
    return videos[0]


def _masks(folder: Path) -> dict[int, Path]:
    """Left mask files by frame number."""
    return numbered(sorted(folder.glob("*.png")), LEFT_MASK) if folder.is_dir() else {}


def _ticks_per_second(times: np.ndarray, fps: float) -> float:
    """The unit that brings the median interval closest to the frame rate of the video."""
    if len(times) < 2:
        return 1.0
    interval = max(float(np.median(np.diff(times))), 1e-12)
    return min(TICKS, key=lambda ticks: abs(np.log(interval * fps / ticks)))
