"""C3VD sequence folders (Bobrow et al. 2023): colonoscopy of a phantom with exact depth.

`0000_color.png` (with or without leading zeros), `0000_depth.tiff` (uint16, 0 .. 65535 for
0 .. 100 mm, both ends unknown) and `pose.txt` (a transposed camera-to-world matrix a line,
millimetres): one line for each number from 0, or one for each image of an evenly numbered folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.formats.references import numbered, require_some
from endosfm3d_ros.datasets.formats.tables import lines_of
from endosfm3d_ros.datasets.published.omnidirectional import OmnidirectionalCamera, PinholeView
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.cv_files import read_image
from endosfm3d_ros.inputs.compressed import decode_compressed
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

FPS = 30.0  # nominal: the data set has no time stamps
DEPTH_UNIT = 0.1 / 65535  # metres
COLOUR, DEPTH, POSES = "_color.png", "_depth.tiff", "pose.txt"
COLOUR_STEM, DEPTH_STEM = (re.compile(rf"^(\d+)_{what}$", re.ASCII) for what in ("color", "depth"))
COLONOSCOPE = OmnidirectionalCamera(  # Olympus CF-HQ190L, as published with the data set
    width=1350,
    height=1080,
    cx=678.544839263292,
    cy=542.975887548343,
    polynomial=(769.243600037458, 0.0, -8.12770624150226e-4, 6.25674244578925e-7,
                -1.19662182144280e-9),
    affine=(0.999986882249990, 0.00288273829525059, -0.00296316513429569),
)  # fmt: skip


class C3VDSequence(Sequence):
    """A registered sequence, resampled to a pinhole of 1350 x 1080: losses and maps know no other.

    References belong to images by number; frames may be missing.

    Args:
        folder: such as cecum_t4_b.
        start: stamp of the first frame in nanoseconds.
        lens: the camera, by default that of the data set.

    Raises:
        InputError: no colour images, or references of other numbers.
    """

    def __init__(
        self, folder: Path, start: int = 0, lens: OmnidirectionalCamera = COLONOSCOPE
    ) -> None:
        self.folder, self.name, self.fps = folder, shown(folder.resolve().name), FPS
        self.report = InputReport()
        self._start, self._size = start, (lens.height, lens.width)
        self._view = PinholeView(lens)
        self.camera = self._view.camera
        self._images = _numbered(folder, COLOUR, COLOUR_STEM)
        if not self._images:
            raise InputError(f"{folder} has no images such as 0000{COLOUR}")
        self._numbers = sorted(self._images)
        self._depths = _numbered(folder, DEPTH, DEPTH_STEM)
        if self._depths:
            require_some(folder / f"*{DEPTH}", self._depths, self._numbers, self.report)
        self._poses = self._read_poses()

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Frame]:
        for number in self._numbers:
            path = self._images[number]
            try:
                image = decode_compressed(path.read_bytes())
            except (InputError, OSError) as error:
                raise InputError(f"{path}: {error}") from error
            image = self._view.apply(self._sized(image, path))
            stamp = stamp_of(number - self._numbers[0], self.fps, self._start)
            yield Frame(stamp, image, LEFT_FRAME, self.camera)

    def number(self, i: int) -> int:
        return self._numbers[i]

    def reference_depth(self, i: int) -> np.ndarray | None:
        path = self._depths.get(self._numbers[i])
        if path is None:
            return None
        raw = read_image(path, cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
            raise InputError(f"{path}: a grey image of 16 bits is accepted")
        raw = self._view.apply(self._sized(raw, path), exact=True)
        depth = raw.astype(np.float32) * np.float32(DEPTH_UNIT)
        depth[(raw == 0) | (raw == 65535)] = np.nan
        return depth

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._poses.get(self._numbers[i])

    def _read_poses(self) -> dict[int, np.ndarray]:
        """4x4 camera-to-world in metres by frame number."""
        path = self.folder / POSES
        if not path.is_file():
            return {}
        stored = _matrices(path)
        poses = stored.transpose(0, 2, 1).copy()  # the files hold rows of the transposed matrix
        poses[:, :3, 3] *= 1e-3
        poses = dict(zip(self._numbers_of_lines(path, len(poses)), poses))
        require_some(path, poses, self._numbers, self.report)
        return poses

    def _numbers_of_lines(self, path: Path, count: int) -> list[int]:
        """The frame number of each line of the pose file.

        Raises:
            InputError: neither a line for each number nor one for each image.
        """
        if count > self._numbers[-1]:
            return list(range(count))
        steps = set(np.diff(self._numbers).tolist())
        if count == len(self._numbers) and len(steps) <= 1:
            return self._numbers
        raise InputError(
            f"{path} has {count} poses for {len(self._numbers)} images numbered "
            f"{self._numbers[0]} to {self._numbers[-1]}: one for each number from 0, or one for "
            "each image where these are evenly numbered, is accepted"
        )

    def _sized(self, image: np.ndarray, path: Path) -> np.ndarray:
        if image.shape[:2] != self._size:
            height, width = image.shape[:2]
            raise InputError(
                f"{path} is {width}x{height}: {self._size[1]}x{self._size[0]} is accepted"
            )
        return image


def _numbered(folder: Path, ending: str, stem: re.Pattern[str]) -> dict[int, Path]:
    """Files of one kind by frame number.

    Raises:
        InputError: a name without number, or a number that comes twice.
    """
    paths = sorted(folder.glob(f"*{ending}"))
    strange = [path for path in paths if not stem.search(path.stem)]
    if strange:
        raise InputError(f"{strange[0]}: names such as 0000{ending} are accepted")
    return numbered(paths, stem)


def _matrices(path: Path) -> np.ndarray:
    """(N, 4, 4) as stored, one a line.

    Raises:
        InputError: a line that is not 16 finite numbers.
    """
    rows = []
    for at, line, words in lines_of(path):
        try:
            row = np.array(words, np.float64)
            if row.size != 16 or not np.isfinite(row).all():
                raise ValueError
        except ValueError as error:
            raise InputError(f"{path} line {at} {line!r}: 16 numbers are accepted") from error
        rows.append(row.reshape(4, 4))
    return np.stack(rows) if rows else np.zeros((0, 4, 4))
