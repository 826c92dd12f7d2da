"""Folders of numbered images with references beside them: what published layouts have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.formats.references import numbered, require_some
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.cv_files import read_image
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.compressed import decode_compressed
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame, StereoGeometry

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
Files = Mapping[int, Path]
Window = tuple[int, int, int, int]  # x, y, width, height of what is used of an image


@dataclass(frozen=True)
class Layout:
    """Where the parts of a recording lie; every mapping is by frame number."""

    name: str
    fps: float
    left: Files
    right: Files = field(default_factory=dict)
    depth: Files = field(default_factory=dict)
    masks: Files = field(default_factory=dict)
    camera: PinholeCamera | None = None
    stereo: StereoGeometry | None = None
    metres: Callable[[np.ndarray], np.ndarray] = np.asarray  # of a depth file, NaN unknown
    is_tool: Callable[[np.ndarray], np.ndarray] = lambda plane: plane > 0
    window: Window | None = None  # None: whole images


class ImageSequence(Sequence):
    """A recording as a `Layout` describes it; stamps count from the first frame's number.

    Args:
        layout: what lies where.
        report: hears what was assumed.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no image, or references that belong to no frame.
    """

    def __init__(self, layout: Layout, report: InputReport, start: int = 0) -> None:
        if not layout.left:
            raise InputError(f"{layout.name} has no numbered images")
        self._layout, self._start = layout, start
        self.name, self.fps, self.report = layout.name, layout.fps, report
        self.camera, self.stereo = layout.camera, layout.stereo
        self._numbers = sorted(layout.left)
        for files in (layout.right, layout.depth, layout.masks):
            if files:
                require_some(next(iter(files.values())).parent, files, self._numbers, report)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Frame:
        """The frame at a position."""
        number = self._numbers[i]
        right = self._layout.right.get(number) if self.stereo is not None else None
        return Frame(
            stamp=stamp_of(number - self._numbers[0], self.fps, self._start),
            image=self._image(self._layout.left[number]),
            frame_id=LEFT_FRAME,
            camera=self.camera,
            right_image=None if right is None else self._image(right),
            stereo=None if right is None else self.stereo,
        )

    def number(self, i: int) -> int:
        return self._numbers[i]

    def reference_depth(self, i: int) -> np.ndarray | None:
        plane = self._plane(self._layout.depth, i)
        return None if plane is None else self._layout.metres(plane).astype(np.float32)

    def mask(self, i: int) -> np.ndarray | None:
        plane = self._plane(self._layout.masks, i)
        return None if plane is None else self._layout.is_tool(plane)

    def _image(self, path: Path) -> np.ndarray:
        try:
            return self._used(decode_compressed(path.read_bytes()))
        except (InputError, OSError) as error:
            raise InputError(f"{path}: {error}") from error

    def _plane(self, files: Files, i: int) -> np.ndarray | None:
        path = files.get(self._numbers[i])
        if path is None:
            return None
        plane = read_image(path, cv2.IMREAD_UNCHANGED)
        if plane is None:
            raise InputError(f"{path} is no picture")
        return self._used(plane if plane.ndim == 2 else plane[..., :3].max(axis=-1))

    def _used(self, image: np.ndarray) -> np.ndarray:
        if self._layout.window is None:
            return image
        x, y, width, height = self._layout.window
        return np.ascontiguousarray(image[y : y + height, x : x + width])


def images_of(folder: Path) -> dict[int, Path]:
    """Pictures by the last number in their names; {} where there is no such folder."""
    if not folder.is_dir():
        return {}
    return numbered(sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES))


def in_order(folder: Path) -> dict[int, Path]:
    """Pictures by their place in the sorted names, for layouts that pair them so."""
    if not folder.is_dir():
        return {}
    return dict(enumerate(sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)))


def size_of(files: Files) -> tuple[int, int]:
    """(width, height) of the first picture.

    Raises:
        InputError: none, or one that is no picture.
    """
    for path in files.values():
        image = read_image(path, cv2.IMREAD_UNCHANGED)
        if image is None:
            raise InputError(f"{path} is no picture")
        return image.shape[1], image.shape[0]
    raise InputError("there is no picture")


def millimetres(least: float, most: float, per_step: float = 1.0) -> Callable:
    """Depth files in steps of `per_step` mm; beyond (least, most) mm nothing is known."""

    def metres(plane: np.ndarray) -> np.ndarray:
        depth = plane.astype(np.float32) * np.float32(per_step)
        depth[(depth < least) | (depth > most) | (plane == 0)] = np.nan
        return depth * np.float32(1e-3)

    return metres
