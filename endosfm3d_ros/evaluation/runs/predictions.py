"""Depth and poses that another method has written, scored as ours are.

    depth/<number>.png   16 bit, in steps of depth/depth.json ("unit_per_step"; metres where "unit"
                         says so) or millimetres without one; also .npy and .npz ("depth")
    poses.txt            frame tx ty tz qx qy qz qw, camera-to-world
    poses_kitti.txt      one 3x4 matrix for each frame of the recording

Depth is of the pixels of the raw image, at any size. A folder that `endosfm3d run` made fits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from endosfm3d_ros.datasets.formats.poses import read_poses
from endosfm3d_ros.datasets.formats.references import numbered, require_some
from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.cv_files import read_image
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.sfm.calibration.first_guess import first_guess
from endosfm3d_ros.types import (
    CameraPose,
    DepthMap,
    Frame,
    IntrinsicsEstimate,
    ScaleSource,
    SceneUpdate,
    TrackingState,
)

SUFFIXES = (".png", ".npy", ".npz")
MILLIMETRE = 1e-3  # per step of a PNG that says nothing


class Predictions:
    """Takes the place of a pipeline in an evaluation.

    Args:
        folder: of the files.
        sequence: the recording that they are of.
        metric: whether depth is in metres; None: as depth.json says, else not.

    Raises:
        InputError: nothing there, or nothing that belongs to a frame of the recording.
    """

    def __init__(self, folder: Path, sequence: Sequence, metric: bool | None = None) -> None:
        self._sequence, self._folder, self._at = sequence, folder, 0
        numbers = [sequence.number(i) for i in range(len(sequence))]
        files = (folder / "depth").glob("*") if (folder / "depth").is_dir() else ()
        self._depths = numbered(sorted(path for path in files if path.suffix in SUFFIXES))
        self._poses = self._read_poses(numbers)
        self._report = InputReport()
        for source, found in ((folder / "depth", self._depths), (folder, self._poses)):
            if found:
                require_some(source, found, numbers, self._report)
        if not self._depths and not self._poses:
            raise InputError(
                f"--predictions {folder}: depth/<number>.png, .npy or .npz, poses.txt or "
                "poses_kitti.txt are accepted, none is there"
            )
        meaning = self._meaning()
        self._step = float(meaning.get("unit_per_step", MILLIMETRE))
        self._metric = meaning.get("unit") == "metres" if metric is None else metric

    # what an evaluation asks of a pipeline beside `process`
    @property
    def sfm(self) -> Predictions:
        """Who speaks for depth and motion."""
        return self

    def notes(self) -> list[str]:
        """What is missing."""
        return [str(entry) for entry in self._report.entries]

    def k_seen_by(self) -> str:
        """Nobody here knows."""
        return ""

    def backend(self) -> str:
        """Where the numbers are from."""
        return f"files in {self._folder}"

    def close(self) -> None:
        """Nothing is open."""

    def process(self, frame: Frame) -> SceneUpdate:
        """What the files say of a frame; frames are asked for in order.

        Without a depth file nothing is valid; without a pose the camera is lost.
        """
        number, self._at = self._sequence.number(self._at), self._at + 1
        lens = frame.camera or first_guess(frame.image)
        depth = self._depth(number, (lens.height, lens.width))
        pose = self._poses.get(number)
        state = TrackingState.LOST if pose is None else TrackingState.TRACKING
        scale = ScaleSource.TOPIC if self._metric else ScaleSource.RELATIVE
        ones = np.isfinite(depth).astype(np.float32)
        return SceneUpdate(
            frame, frame.image,
            DepthMap(depth, ones, lens, "predictions", scale, frame.stamp),
            IntrinsicsEstimate(lens, np.zeros((4, 4)), "fixed", 0, "fixed"),
            CameraPose(np.eye(4) if pose is None else pose, np.eye(4), np.zeros((6, 6)), state, 0),
            lens=lens,
        )  # fmt: skip

    def _depth(self, number: int, shape: tuple[int, int]) -> np.ndarray:
        """(H, W) float32 at the size of the image, NaN where nothing is said."""
        path = self._depths.get(number)
        if path is None:
            return np.full(shape, np.nan, np.float32)
        depth = self._read(path)
        depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
        if depth.shape == shape:
            return depth
        return cv2.resize(depth, shape[::-1], interpolation=cv2.INTER_NEAREST)

    def _read(self, path: Path) -> np.ndarray:
        try:
            if path.suffix == ".png":
                plane = read_image(path, cv2.IMREAD_UNCHANGED)
                depth = None if plane is None else plane.astype(np.float32) * self._step
            else:
                content = np.load(path, allow_pickle=False)
                depth = np.array(content["depth"] if path.suffix == ".npz" else content, np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is no depth that can be read: {error}") from error
        depth = None if depth is None else np.squeeze(depth).astype(np.float32)
        if depth is None or depth.ndim != 2:
            raise InputError(f"{path} is no depth that can be read: (H, W) is accepted")
        return depth

    def _meaning(self) -> dict[str, Any]:
        path = self._folder / "depth" / "depth.json"
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text()))
        except (ValueError, TypeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no JSON: {error}") from error

    def _read_poses(self, numbers: list[int]) -> dict[int, np.ndarray]:
        by_number, by_row = self._folder / "poses.txt", self._folder / "poses_kitti.txt"
        if by_number.is_file():
            return read_poses(by_number)
        if not by_row.is_file():
            return {}
        try:
            rows = np.loadtxt(by_row, ndmin=2).reshape(-1, 3, 4)
        except ValueError as error:
            raise InputError(f"{by_row}: twelve numbers a line are accepted: {error}") from error
        if len(rows) != len(numbers):
            raise InputError(f"{by_row} has {len(rows)} poses, the recording {len(numbers)} frames")
        below = np.array([0.0, 0.0, 0.0, 1.0])
        return {number: np.vstack([row, below]) for number, row in zip(numbers, rows)}
