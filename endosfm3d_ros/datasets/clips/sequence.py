"""Clip folders: numbered images, a camera file, and any reference data beside them.

`left/` + `right/` or `images/`; `calibration.json` or `camera.json`; optionally `depth_ref/`
(uint16, 0 = unknown), `poses_ref.txt` (metres) or `poses.txt` (a scale of its own), `masks/`
(255 = instrument), `instances/` (0 = tissue, 1.. = instrument), `ignore/` (255 = do not score),
`mask_valid.txt` (frames to score), `parts/` (10 shaft, 20 wrist, 30 clasper),
`intrinsics_ref.txt` (frame fx fy cx cy, where they change), `tools/` (see `tool_truth`) and
`surface/` (see `surface_truth`).
The number in a file name is the key everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.calibration import MONO_FILE, PAIR_FILE, read_camera_file
from endosfm3d_ros.datasets.formats.intrinsics_table import CAMERAS, read_cameras
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.formats.poses import read_poses
from endosfm3d_ros.datasets.formats.references import numbered, require_some
from endosfm3d_ros.datasets.formats.surface_truth import Surface, read_surface
from endosfm3d_ros.datasets.formats.tables import lines_of
from endosfm3d_ros.datasets.formats.tool_truth import ToolMesh, read_tools
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, PART_STEP, Sequence, stamp_of
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.compressed import decode_compressed, decode_compressed_plane
from endosfm3d_ros.inputs.plausibility import DEPTH_VALID, require_depth
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

WHOLE_STEM = re.compile(r"^(\d+)$", re.ASCII)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class ClipSequence(Sequence):
    """A clip folder; stamps count from the first frame's number, so gaps stay gaps.

    Args:
        folder: the clip folder.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no images, no camera file, eyes that do not pair, or damaged files.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        self.folder = folder
        self.name = shown(folder.resolve().name)
        self.report = InputReport()
        self._start = start
        self._left = _numbered(folder / "left") or _numbered(folder / "images")
        if not self._left:
            raise InputError(f"{folder} has no numbered images (000000.png ..) in left/ or images/")
        self._numbers = sorted(self._left)
        self._tell_left_out(folder / ("left" if (folder / "left").is_dir() else "images"))
        self._right = self._partners(_numbered(folder / "right"))
        given = read_camera_file(self._camera_path())
        self.camera, self.fps, self._depth_unit = given.camera, given.fps, given.depth_unit
        self.stereo = given.stereo if self._right else None
        self._depths = self._reference("depth_ref")
        self._masks = self._reference("masks")
        self._instances = self._reference("instances")
        self._ignores = self._reference("ignore")
        self._parts = self._reference("parts")
        self._read_tables()

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Frame:
        """The frame at a position."""
        number = self._numbers[i]
        right = self._right.get(number)
        return Frame(
            stamp=stamp_of(number - self._numbers[0], self.fps, self._start),
            image=self._read(self._left[number], decode_compressed),
            frame_id=LEFT_FRAME,
            camera=self.camera,
            right_image=None if right is None else self._read(right, decode_compressed),
            stereo=self.stereo,
        )

    def number(self, i: int) -> int:
        return self._numbers[i]

    def reference_depth(self, i: int) -> np.ndarray | None:
        raw = self._plane(self._depths, i)
        if raw is None:
            return None
        depth = raw.astype(np.float32) * np.float32(self._depth_unit)
        depth[raw == 0] = np.nan
        if np.isfinite(depth).mean() < DEPTH_VALID:  # a frame of a reference may be empty
            return depth
        try:
            return require_depth(depth)
        except InputError as error:
            path = self._depths[self._numbers[i]]
            raise InputError(f"{path}: {error} (depth_unit_mm of the camera file)") from error

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._poses.get(self._numbers[i])

    def mask(self, i: int) -> np.ndarray | None:
        plane = self._plane(self._masks, i)
        return None if plane is None else plane > 0

    def instances(self, i: int) -> np.ndarray | None:
        return self._plane(self._instances, i)

    def parts(self, i: int) -> np.ndarray | None:
        plane = self._plane(self._parts, i)
        return None if plane is None else plane // PART_STEP

    def reference_camera(self, i: int) -> PinholeCamera | None:
        return self._cameras.get(self._numbers[i])

    def tool_meshes(self) -> dict[int, ToolMesh]:
        return self._tools.meshes

    def tool_poses(self, i: int) -> dict[int, np.ndarray]:
        return self._tools.poses.get(self._numbers[i], {})

    def tool_clearances(self, i: int) -> dict[int, float]:
        return self._tools.clearances.get(self._numbers[i], {})

    def surface(self, i: int) -> Surface | None:
        return read_surface(self.folder, self._numbers[i])

    def ignore(self, i: int) -> np.ndarray | None:
        plane = self._plane(self._ignores, i)
        return None if plane is None else plane > 0

    def mask_valid(self, i: int) -> bool:
        number = self._numbers[i]
        return number in self._masks and (self._valid is None or number in self._valid)

    def _partners(self, right: dict[int, Path]) -> dict[int, Path]:
        """The right images, one for each left image or none at all."""
        alone = sorted(set(self._left) ^ set(right)) if right else []
        if alone:
            raise InputError(
                f"{self.folder} has frame {alone[0]} in one eye only ({len(alone)} such frames): "
                "left/ and right/ must hold the same numbers"
            )
        return right

    def _tell_left_out(self, images: Path) -> None:
        """Files among the images that are no numbered JPEG or PNG."""
        others = [path for path in images.iterdir() if path.is_file()]
        others = sorted(path.name for path in others if path not in set(self._left.values()))
        if others:
            text = f"{len(others)} files are left out, {others[0]} among them"
            cure = "name images by their frame number, as .png or .jpg"
            self.report.missing(images.name, "others", shown(text), cure)

    def _camera_path(self) -> Path:
        path = self.folder / (PAIR_FILE if self._right else MONO_FILE)
        other = self.folder / (MONO_FILE if self._right else PAIR_FILE)
        if not path.is_file() and (self._right or not other.is_file()):
            raise InputError(f"{self.folder} has no {path.name}, which names the camera and fps")
        return path if path.is_file() else other

    def _read_tables(self) -> None:
        """Poses, cameras, instruments and the list of masks that may be scored."""
        cameras = self.folder / CAMERAS
        self._cameras = read_cameras(cameras, *self.camera.size) if cameras.is_file() else {}
        self._require_some(cameras, self._cameras)
        self._tools = read_tools(self.folder)
        metric, own_scale = self.folder / "poses_ref.txt", self.folder / "poses.txt"
        self.poses_metric = metric.is_file() or not own_scale.is_file()
        path = metric if self.poses_metric else own_scale
        self._poses = read_poses(path) if path.is_file() else {}
        self._require_some(path, self._poses)
        valid = self.folder / "mask_valid.txt"
        self._valid = _read_numbers(valid) if valid.is_file() else None

    def _reference(self, name: str) -> dict[int, Path]:
        """The images of a reference, which belong to frames if there are any."""
        folder = self.folder / name
        files = _numbered(folder)
        if folder.is_dir() and any(folder.iterdir()):
            self._require_some(folder, files)
        return files

    def _require_some(self, source: Path, numbers: Collection[int]) -> None:
        if source.exists():
            require_some(source, numbers, self._numbers, self.report)

    def _plane(self, files: dict[int, Path], i: int) -> np.ndarray | None:
        """A one-channel file of frame `i`, as stored."""
        path = files.get(self._numbers[i])
        return None if path is None else self._read(path, decode_compressed_plane)

    def _read(self, path: Path, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
        """An image file of the size that the camera file gives."""
        try:
            image = decode(path.read_bytes())
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        height, width = image.shape[:2]
        if (width, height) != self.camera.size:
            expected = "x".join(map(str, self.camera.size))
            raise InputError(f"{path} is {width}x{height}, but the camera file says {expected}")
        return image


def _numbered(folder: Path) -> dict[int, Path]:
    """Image files whose stem is a number; {} where there is no such folder."""
    if not folder.is_dir():
        return {}
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return numbered(sorted(files), WHOLE_STEM)


def _read_numbers(path: Path) -> set[int]:
    """Frame numbers, one a line, `#` for comments."""
    try:
        return {int(word) for _, _, words in lines_of(path) for word in words}
    except ValueError as error:
        raise InputError(f"{path}: one frame number a line is accepted, {error}") from error
