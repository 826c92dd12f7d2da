"""SCARED keyframe folders (Allan et al. 2021, EndoVis 2019) as distributed.

`endoscope_calibration.yaml` and `data/rgb.mp4` with the left eye above the right one, unrectified;
optionally `data/frame_data.tar.gz` (poses) and `data/scene_points.tar.gz` (depth), or what they
hold unpacked in folders of their names. Millimetres.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.formats.references import require_some
from endosfm3d_ros.datasets.published.scared_files import NumberedFiles
from endosfm3d_ros.datasets.published.stereomis_calibration import rectified_pair
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.datasets.videos.file import VideoFile
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.cv_files import read_matrices
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame, StereoGeometry

CALIBRATION, VIDEO = "endoscope_calibration.yaml", "data/rgb.mp4"
POSES, POINTS = "frame_data", "scene_points"
RIGID = 1e-2  # how far the determinant of a rotation may be from 1
NO_POSE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
Z = 0  # channel of the depth: the files hold x, y, z, and OpenCV reverses the order


class SCAREDSequence(Sequence):
    """A keyframe folder with a video; frames count from 0, as in the archives beside it.

    Poses and depth are of the raw left eye and belong to frames by the numbers of their files.
    Depth is best asked for in order: an archive can only be read forwards.

    Args:
        folder: such as dataset_1/keyframe_1.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no readable video or calibration, or references that belong to no frame.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        self.folder, self._start = folder, start
        whole = folder.resolve()
        self.name = shown(f"{whole.parent.name}_{whole.name}")
        self.report = InputReport()
        self._video = VideoFile(folder / VIDEO, turn=False)
        self._video.tell_loss(self.report, VIDEO)
        self.fps = self._video.fps
        width, stacked = self._video.size
        self.stereo = read_calibration(folder / CALIBRATION, (width, stacked // 2))
        self.camera = self.stereo.left
        self._points = NumberedFiles(folder / "data", POINTS, ".tiff")
        if self._points.source is not None and self._points.source.is_dir():
            self._require_some(self._points.source, self._points.numbers())
        self._poses = self._read_poses()

    def __len__(self) -> int:
        return self._video.count

    def __iter__(self) -> Iterator[Frame]:
        height = self.camera.height
        for i, image in enumerate(self._video.frames([range(len(self))])):
            yield Frame(
                stamp=stamp_of(i, self.fps, self._start),
                image=image[:height],
                frame_id=LEFT_FRAME,
                camera=self.camera,
                right_image=image[height : 2 * height],
                stereo=self.stereo,
            )

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._poses.get(i)

    def reference_depth(self, i: int) -> np.ndarray | None:
        content = self._points.read(i)
        if content is None:
            return None
        return self._depth(content, f"{self._points.source} frame {i}")

    def _depth(self, content: bytes, name: str) -> np.ndarray:
        """(H, W) float32 metres of the upper half of a point image."""
        points = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        width, height = self.camera.size
        if points is None or points.shape != (2 * height, width, 3):
            raise InputError(f"{name}: {width}x{2 * height} points are accepted")
        depth = points[:height, :, Z].astype(np.float32) * np.float32(1e-3)
        depth[~(depth > 0)] = np.nan
        return depth

    def _read_poses(self) -> dict[int, np.ndarray]:
        """4x4 camera-to-world in metres; the files map world points into the camera."""
        files, poses = NumberedFiles(self.folder / "data", POSES, ".json"), {}
        for number, content in files.all():
            try:
                T = np.array(json.loads(content)["camera-pose"], np.float64).reshape(4, 4)
                if not (np.isfinite(T).all() and abs(np.linalg.det(T[:3, :3]) - 1) < RIGID):
                    raise ValueError
            except NO_POSE as error:
                raise InputError(f"{files.source} frame {number} has no 4x4 camera-pose") from error
            T[:3, 3] *= 1e-3
            poses[number] = se3.inverse(T)
        if files.source is not None:
            self._require_some(files.source, poses)
        return poses

    def _require_some(self, source: Path, numbers: Collection[int]) -> None:
        require_some(source, numbers, range(len(self)), self.report)


def read_calibration(path: Path, size: tuple[int, int]) -> StereoGeometry:
    """The pair of `endoscope_calibration.yaml` for eyes of `size` (width, height).

    Raises:
        InputError: no such file, or a matrix missing.
    """
    if not path.is_file():
        raise InputError(f"{path.parent} has no {path.name}")
    names = ("M1", "D1", "M2", "D2", "R", "T")
    matrices = read_matrices(path, names)
    absent = [name for name in names if name not in matrices]
    if absent:
        raise InputError(f"{path} has no {', '.join(absent)}")
    eyes = [
        PinholeCamera.from_matrix(matrices[M], *size, tuple(map(float, matrices[D].ravel()[:5])))
        for M, D in (("M1", "D1"), ("M2", "D2"))
    ]
    return rectified_pair(path, *eyes, size, matrices["R"], matrices["T"].ravel() * 1e-3)
