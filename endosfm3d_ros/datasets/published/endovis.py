"""EndoVis 2017 and 2018 sequences: left_frames at 2 Hz, camera_calibration.txt, masks of 2017.

Frames of 1920x1080 have black borders; what is used is the 1280x1024 in the middle, which the
calibration is of. Instruments of 2017 are the union of ground_truth/<tool>_labels.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.published.image_sequence import (
    ImageSequence,
    Layout,
    Window,
    images_of,
    size_of,
)
from endosfm3d_ros.datasets.sequence import PART_STEP
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.report import InputReport

CALIBRATION = "camera_calibration.txt"
FPS = 2.0
BORDERED: tuple[int, int] = (1920, 1080)
WINDOW: Window = (320, 28, 1280, 1024)
LINE = re.compile(r"^\s*Camera-0-([FC])\s*:\s*(\S+)\s+(\S+)", re.MULTILINE)


class EndoVisSequence(ImageSequence):
    """A sequence such as instrument_dataset_1 or seq_1.

    Args:
        folder: with left_frames/.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no frame, or a calibration that cannot be read.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        report = InputReport()
        left = images_of(folder / "left_frames")
        size = size_of(left)
        window = WINDOW if size == BORDERED else None
        used = window[2:] if window else size
        if (folder / "right_frames").is_dir():
            said = "is left out: camera_calibration.txt is read for one eye"
            report.refused("right_frames", "pair", said, severity=1)
        labels = sorted((folder / "ground_truth").glob("*"))
        self._labels = [images_of(each) for each in labels if each.is_dir()]
        if (folder / "labels").is_dir():
            said = "is left out: its colours are classes of tissue and tools"
            report.refused("labels", "classes", said, severity=1)
        layout = Layout(
            name=shown(folder.resolve().name), fps=FPS, left=left, window=window,
            camera=_camera(folder / CALIBRATION, used),
        )  # fmt: skip
        super().__init__(layout, report, start)
        if layout.camera is None:
            report.missing(CALIBRATION, "camera", "the camera is estimated from the images")

    def mask(self, i: int) -> np.ndarray | None:
        parts = self._codes(i)
        return None if parts is None else parts > 0

    def parts(self, i: int) -> np.ndarray | None:
        codes = self._codes(i)
        return None if codes is None else codes // PART_STEP

    def _codes(self, i: int) -> np.ndarray | None:
        """(H, W) uint8: 10 shaft, 20 wrist, 30 clasper of whichever tool is there."""
        planes = [plane for files in self._labels if (plane := self._plane(files, i)) is not None]
        return np.max(planes, axis=0) if planes else None


def _camera(path: Path, size: tuple[int, int]) -> PinholeCamera | None:
    if not path.is_file():
        return None
    try:
        found = {key: (float(a), float(b)) for key, a, b in LINE.findall(path.read_text())}
        (fx, fy), (cx, cy) = found["F"], found["C"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: lines Camera-0-F: and Camera-0-C: are accepted") from error
    if not (0 < cx < size[0] and 0 < cy < size[1]):
        raise InputError(f"{path}: centre {cx:.0f}, {cy:.0f} outside {size[0]}x{size[1]} images")
    return PinholeCamera(*size, fx, fy, cx, cy)
