"""A sheet of tissue that breathes and is dragged, with exact depth, places and poses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
import torch

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.map import TissueConfig, TissueMap
from endosfm3d_ros.types import CameraPose, DepthMap, ScaleSource, TrackingState

DISTANCE = 0.05  # metres
FPS = 30


@dataclass
class Sheet:
    """A textured plane with a bump of height `rise(t)` that also drags sideways by `drag(t)`."""

    rise: float = 0.0  # metres at the crest
    drag: float = 0.0
    sigma: float = 0.03  # metres; width of the bump
    period: float = 2.0  # seconds
    width: int = 160
    height: int = 128

    def __post_init__(self) -> None:
        self.camera = PinholeCamera(self.width, self.height, 140.0, 140.0, 79.5, 63.5)
        noise = np.random.default_rng(1).random((512, 512, 3), np.float32)
        texture = sum(
            cv2.GaussianBlur(noise, (0, 0), s) * gain for s, gain in ((2, 1), (5, 2.5), (14, 6))
        )
        spread = texture - texture.mean(axis=(0, 1))
        self._texture = np.clip(0.5 + 0.18 * spread / spread.std(), 0.12, 0.85)

    def phase(self, i: int) -> float:
        return 0.5 - 0.5 * np.cos(2 * np.pi * i / FPS / self.period)

    def bump(self, x, y):
        return np.exp(-(x**2 + y**2) / (2 * self.sigma**2))

    def place(self, material: np.ndarray, i: int) -> np.ndarray:
        """(N, 3) where the material points (N, 2) of the sheet are in frame `i`."""
        x, y = material.T
        x = x + self.drag * self.phase(i) * self.bump(*material.T)
        return np.stack([x, y, DISTANCE - self.rise * self.phase(i) * self.bump(x, y)], axis=1)

    def material(self, places: np.ndarray, i: int) -> np.ndarray:
        """(N, 2) the inverse of `place`."""
        x, y = places[:, 0].astype(float), places[:, 1].astype(float)
        rest = x.copy()
        for _ in range(30):
            rest = x - self.drag * self.phase(i) * self.bump(rest, y)
        return np.stack([rest, y], axis=1)

    def frame(self, i: int, T: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 image and (H, W) float32 depth from a pose (4x4 camera-to-world)."""
        T = np.eye(4) if T is None else T
        rays = self.camera.rays().reshape(-1, 3) @ T[:3, :3].T
        z = np.full(len(rays), DISTANCE)
        for _ in range(20):
            points = T[:3, 3] + ((z - T[2, 3]) / rays[:, 2])[:, None] * rays
            z = DISTANCE - self.rise * self.phase(i) * self.bump(points[:, 0], points[:, 1])
        where = (self.material(points, i) / 0.1 * 512 + 256).astype(np.float32)
        where = where.reshape(self.height, self.width, 2)
        image = cv2.remap(self._texture, where, None, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
        depth = (points - T[:3, 3]) @ T[:3, 2]
        return (image * 255).astype(np.uint8), depth.reshape(self.height, self.width).astype("f4")

    def depth_map(self, depth: np.ndarray, i: int, scale=ScaleSource.STEREO) -> DepthMap:
        confidence = np.isfinite(depth).astype(np.float32)
        stamp = int(i * 1e9 / FPS)
        return DepthMap(depth, confidence, self.camera, "test", scale, stamp)


def pose_of(T: np.ndarray | None = None, state=TrackingState.TRACKING) -> CameraPose:
    return CameraPose(np.eye(4) if T is None else T, np.eye(4), np.zeros((6, 6)), state, 100)


def feed(tissue, sheet, i, labels=None, T=None, scale=ScaleSource.STEREO, **options):
    """One exact frame of the sheet into the map; what instruments hide is withheld."""
    image, depth = sheet.frame(i, T)
    if labels is not None:
        image[labels > 0], depth[labels > 0] = 0, np.nan
    given = sheet.depth_map(depth, i, scale)
    return tissue.update(image, given, pose_of(T), labels, budget=0.0, **options)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config() -> TissueConfig:
    return replace(TissueConfig(), width=160, capacity=20_000)


@pytest.fixture
def tissue(config) -> TissueMap:
    return TissueMap(config)


@pytest.fixture
def sheets():
    return Sheet


@pytest.fixture
def feeding():
    return feed


@pytest.fixture
def posed():
    return pose_of
