"""Measurements of metres per unit of a stream that has no scale of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.types import DepthMap

Measurement = tuple[float, float]  # factor, sigma of its logarithm


@dataclass(frozen=True)
class ScaleSourcesConfig:
    """Lengths in metres."""

    stereo_every: int = 500_000_000  # ns between two looks at the right eye
    stereo_points: int = 2000  # pixels that both depth maps must have
    stereo_sigma: float = 0.01  # of one look; the shape of the two maps differs
    path: int = 200  # poses over which camera and robot are compared
    least_motion: float = 0.004  # root mean square of the robot's positions in the window
    robot_sigma: float = 0.0002  # of one position of the robot
    shaft: float = 0.008  # diameter of a da Vinci instrument
    shaft_pixels: int = 400  # of a mask
    shaft_elongation: float = 3.0  # length over width of what counts as a shaft
    shaft_sigma: float = 0.10  # of one look: masks are off by pixels, depth on metal by more


def from_stereo(
    relative: DepthMap, metric: DepthMap, config: ScaleSourcesConfig
) -> Measurement | None:
    """By the median ratio of two depth maps of one image; None with too little in common."""
    size = relative.camera.size
    other = cv2.resize(metric.depth, size, interpolation=cv2.INTER_NEAREST)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(other) - np.log(relative.depth)
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) < config.stereo_points:
        return None
    return float(np.exp(np.median(ratios))), config.stereo_sigma


class KinematicScale:
    """By the path of the camera against that of the robot, over a window of poses.

    Positions are compared after the best rotation between both worlds (Umeyama 1991, eq. 40-43),
    so no calibration between robot and camera is needed where both name the same point.
    """

    def __init__(self, config: ScaleSourcesConfig | None = None) -> None:
        self.config = config or ScaleSourcesConfig()
        self.reset()

    def reset(self) -> None:
        """Forget the path."""
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.config.path)

    def add(self, T_odom_camera: np.ndarray, T_base_camera: np.ndarray) -> Measurement | None:
        """Enter one pair of poses (4x4); a measurement where the robot has moved enough."""
        self._pairs.append((T_odom_camera[:3, 3], T_base_camera[:3, 3]))
        mine, theirs = (np.array(column) for column in zip(*self._pairs))
        x, y = mine - mine.mean(axis=0), theirs - theirs.mean(axis=0)
        moved = np.sqrt((y**2).sum(axis=1).mean())
        variance = (x**2).sum(axis=1).mean()
        if moved < self.config.least_motion or variance <= 0:
            return None
        U, D, Vt = np.linalg.svd(y.T @ x / len(x))
        S = np.array([1, 1, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
        factor = float(D @ S / variance)
        residual = y - factor * x @ (U @ np.diag(S) @ Vt).T
        spread = np.sqrt((residual**2).sum(axis=1).mean() + self.config.robot_sigma**2)
        return factor, float(spread / moved)


def from_shafts(
    depth: DepthMap, labels: np.ndarray, config: ScaleSourcesConfig
) -> list[Measurement]:
    """By the width of instrument shafts in the image and the depth that they have there.

    Args:
        depth: of the image.
        labels: (H, W) uint8 of the same image, 0 tissue, 255 what is no single tool.
        config: settings.
    """
    size = depth.camera.size
    if labels.shape[::-1] != size:
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    found = (
        _from_shaft(depth, labels == label, config) for label in np.unique(labels)
        if label not in (0, 255)
    )  # fmt: skip
    return [measurement for measurement in found if measurement is not None]


def _from_shaft(
    depth: DepthMap, mask: np.ndarray, config: ScaleSourcesConfig
) -> Measurement | None:
    """A cylinder at distance z that is `w` px wide has z = f d / w."""
    if mask.sum() < config.shaft_pixels:
        return None
    # 1 the half of the mask that is farther from the tip: the one at the image border
    rows, columns = np.nonzero(mask)
    points = np.column_stack([columns, rows]).astype(float)
    centre = points.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov(points.T))
    last = np.array(mask.shape[::-1]) - 3
    at_border = ((points < 2) | (points > last)).any(axis=1)
    if not at_border.any() or spread[1] < config.shaft_elongation**2 * spread[0]:
        return None
    across, along = ((points - centre) @ axes).T
    along = along * np.sign(along[at_border].mean())
    # 2 its width on average, and the depth on its axis
    end = float(np.quantile(along, 0.9))
    half = (along > 0) & (along < end)
    width = half.sum() / end
    if width < 4:
        return None
    on_axis = half & (np.abs(across) < width / 4)
    z = depth.depth[rows[on_axis], columns[on_axis]]
    z = z[np.isfinite(z)]
    if len(z) < 20:
        return None
    focal = (depth.camera.fx + depth.camera.fy) / 2
    surface = focal * config.shaft / width - config.shaft / 2  # the axis lies behind the surface
    return surface / float(np.median(z)), config.shaft_sigma
