"""SERV-CT experiments (Edwards et al. 2022): rectified stereo stills with depth from CT.

Every still has a calibration of its own, and depth in 1/256 mm.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.formats.calibration import millimetres as of_length
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.formats.references import numbered
from endosfm3d_ros.datasets.published.image_sequence import (
    ImageSequence,
    Layout,
    images_of,
    millimetres,
    size_of,
)
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.plausibility import require_baseline
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame, StereoGeometry

LEFT, RIGHT, CALIBRATION = "Left_rectified", "Right_rectified", "Rectified_calibration"
TRUTHS = ("Ground_truth_CT", "Ground_truth_RGB")
FPS = 1.0  # stills
STEPS = 256  # per mm


class SERVCTSequence(ImageSequence):
    """An experiment folder; stills of different places, not a video.

    Args:
        folder: such as Experiment_1.
        start: stamp of the first still in nanoseconds.

    Raises:
        InputError: no still, or one without calibration.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        report = InputReport()
        left = images_of(folder / LEFT)
        truth = next((folder / name for name in TRUTHS if (folder / name).is_dir()), folder)
        size = size_of(left)
        paths = numbered(sorted((folder / CALIBRATION).glob("*.json")))
        self._pairs = {number: _pair(path, size) for number, path in paths.items()}
        lacking = sorted(set(left) - set(self._pairs))
        if lacking:
            raise InputError(f"{folder / CALIBRATION} has no file for still {lacking[0]}")
        first = self._pairs[min(left)]
        report.assumed(LEFT, "rate", "stills one second apart: they are no video")
        layout = Layout(
            name=shown(folder.resolve().name), fps=FPS, left=left,
            right=images_of(folder / RIGHT), depth=images_of(truth / "DepthL"),
            metres=millimetres(1.0, 65535 / STEPS, 1 / STEPS), camera=first.left, stereo=first,
        )  # fmt: skip
        super().__init__(layout, report, start)

    def __getitem__(self, i: int) -> Frame:
        """The still at a position, with its own calibration."""
        frame, pair = super().__getitem__(i), self._pairs[self.number(i)]
        stereo = None if frame.right_image is None else pair
        return replace(frame, camera=pair.left, stereo=stereo)

    def reference_camera(self, i: int) -> PinholeCamera | None:
        return self._pairs[self.number(i)].left


def _pair(path: Path, size: tuple[int, int]) -> StereoGeometry:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        P1, P2 = (of_length(_matrix(content[key]), 1e-3) for key in ("P1", "P2"))
        eyes = [PinholeCamera.from_matrix(P[:, :3], *size) for P in (P1, P2)]
        pair = StereoGeometry(*eyes, np.eye(3), P1, np.eye(3), P2)
        require_baseline(pair.baseline)
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        raise InputError(f"{path}: P1 and P2 of 3x4 are accepted: {error}") from error
    return pair


def _matrix(content: Any) -> np.ndarray:
    """As nested lists, or as OpenCV writes a matrix."""
    values = content["data"] if isinstance(content, dict) else content
    return np.array(values, np.float64).reshape(3, 4)
