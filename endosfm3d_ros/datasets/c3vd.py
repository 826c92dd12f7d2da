"""C3VD sequence folders (Bobrow et al. 2023): colonoscopy of a phantom with exact depth.

`%04d_color.png`, `%04d_depth.tiff` (uint16, 0 .. 65535 for 0 .. 100 mm, both ends unknown) and
`pose.txt` (a transposed camera-to-world matrix a line, millimetres).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros import images
from endosfm3d_ros.datasets.omnidirectional import OmnidirectionalCamera, PinholeView
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.types import Frame

FPS = 30.0  # nominal: the data set has no time stamps
DEPTH_UNIT = 0.1 / 65535  # metres
COLOUR, DEPTH, POSES = "_color.png", "_depth.tiff", "pose.txt"
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

    Args:
        folder: such as cecum_t4_b.
        start: stamp of the first frame in nanoseconds.
        lens: the camera, by default that of the data set.

    Raises:
        InputError: no colour images.
    """

    def __init__(
        self, folder: Path, start: int = 0, lens: OmnidirectionalCamera = COLONOSCOPE
    ) -> None:
        self.folder, self.name, self.fps = folder, folder.resolve().name, FPS
        self._start, self._size = start, (lens.height, lens.width)
        self._view = PinholeView(lens)
        self.camera = self._view.camera
        self._numbers = sorted(_number(path) for path in folder.glob(f"*{COLOUR}"))
        if not self._numbers:
            raise InputError(f"{folder} has no images such as 0000{COLOUR}")

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Frame]:
        for number in self._numbers:
            path = self.folder / f"{number:04d}{COLOUR}"
            try:
                image = images.decode_compressed(path.read_bytes())
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            image = self._view.apply(self._sized(image, path))
            stamp = stamp_of(number - self._numbers[0], self.fps, self._start)
            yield Frame(stamp, image, LEFT_FRAME, self.camera)

    def number(self, i: int) -> int:
        return self._numbers[i]

    def reference_depth(self, i: int) -> np.ndarray | None:
        path = self.folder / f"{self._numbers[i]:04d}{DEPTH}"
        if not path.is_file():
            return None
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
            raise InputError(f"{path}: a grey image of 16 bits is accepted")
        raw = self._view.apply(self._sized(raw, path), exact=True)
        depth = raw.astype(np.float32) * np.float32(DEPTH_UNIT)
        depth[(raw == 0) | (raw == 65535)] = np.nan
        return depth

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._poses[i] if i < len(self._poses) else None

    @cached_property
    def _poses(self) -> np.ndarray:
        """(N, 4, 4) camera-to-world in metres, one for each image in order."""
        path = self.folder / POSES
        if not path.is_file():
            return np.zeros((0, 4, 4))
        try:
            stored = np.loadtxt(path, delimiter=",", ndmin=2).reshape(-1, 4, 4)
        except ValueError as error:
            raise InputError(f"{path}: 16 numbers a line are accepted") from error
        poses = stored.transpose(0, 2, 1).copy()  # the files hold rows of the transposed matrix
        poses[:, :3, 3] *= 1e-3
        return poses

    def _sized(self, image: np.ndarray, path: Path) -> np.ndarray:
        if image.shape[:2] != self._size:
            height, width = image.shape[:2]
            raise InputError(
                f"{path} is {width}x{height}: {self._size[1]}x{self._size[0]} is accepted"
            )
        return image


def _number(path: Path) -> int:
    digits = path.name.removesuffix(COLOUR)
    if not digits.isdecimal():
        raise InputError(f"{path}: names such as 0000{COLOUR} are accepted")
    return int(digits)
