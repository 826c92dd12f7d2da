"""Updates of the pipeline made by hand, and a clip whose references are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.sequence import Sequence, stamp_of
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import (
    CameraPose,
    DepthMap,
    Frame,
    IntrinsicsEstimate,
    ScaleSource,
    SceneUpdate,
    TrackingState,
)

CAMERA = PinholeCamera(32, 24, 30.0, 31.0, 16.0, 11.0)


class MadeClip(Sequence):
    """Grey frames with any references a test wants, by position."""

    def __init__(self, frames: int, fps: float = 25.0) -> None:
        self.name, self.fps, self.camera = "made", fps, CAMERA
        self._frames = frames
        self.depths: dict[int, np.ndarray] = {}
        self.poses: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[Frame]:
        image = np.full((CAMERA.height, CAMERA.width, 3), 90, np.uint8)
        return (Frame(stamp_of(i, self.fps), image) for i in range(self._frames))

    def reference_depth(self, i: int) -> np.ndarray | None:
        return self.depths.get(i)

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self.poses.get(i)


@pytest.fixture
def clip() -> Callable[..., MadeClip]:
    """Makes a clip of so many frames."""
    return MadeClip


@pytest.fixture
def make_update() -> Callable[..., SceneUpdate]:
    """Makes what a pipeline might answer to a frame."""

    def make(
        frame: Frame,
        depth: np.ndarray | None = None,
        T: np.ndarray | None = None,
        scale: ScaleSource = ScaleSource.CONSTANT,
        state: TrackingState = TrackingState.TRACKING,
    ) -> SceneUpdate:
        depth = np.full((24, 32), 0.05, np.float32) if depth is None else depth
        T = np.eye(4) if T is None else T
        camera = CAMERA.resized(depth.shape[1], depth.shape[0])
        return SceneUpdate(
            frame,
            frame.image,
            DepthMap(depth, np.ones_like(depth), camera, "made", scale, frame.stamp),
            IntrinsicsEstimate(CAMERA, np.eye(4), "converged", 5, "estimate"),
            CameraPose(T, np.eye(4), np.eye(6), state, 100),
            {"total": 1.0},
            lens=CAMERA,
        )

    return make


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    """A simulated stereo clip of a static scene, 7 frames of 240 x 192 px at 10 Hz."""
    path = tmp_path_factory.mktemp("clips") / "simulated"
    write_clip(SimulatedSequence("moving", frames=7, width=240, height=192, fps=10), path)
    return path


@pytest.fixture
def hills() -> np.ndarray:
    """(24, 32) depth in metres."""
    v, u = np.mgrid[0:24, 0:32]
    return (0.05 + 0.01 * np.sin(u / 4) * np.cos(v / 5)).astype(np.float32)
