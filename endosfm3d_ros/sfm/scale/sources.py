"""Measurements of metres per unit of a stream that has no scale of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.scale.shafts import Measurement, ShaftConfig
from endosfm3d_ros.types import DepthMap


@dataclass(frozen=True)
class Landmarks:
    """Points that are followed, as one image sees them."""

    pixels: np.ndarray  # (N, 2)
    depth: np.ndarray  # (N,) along z, in the units of the map
    size: tuple[int, int]  # (width, height) of the image that the pixels are of

    def through(self, camera: PinholeCamera, other: PinholeCamera) -> Landmarks:
        """The same rays as another camera of the same eye sees them, at the size given here.

        `camera` took the image that the pixels are of. Both may be of any size.
        """
        if camera == other or not len(self.pixels):
            return self
        rays = camera.resized(*self.size).unproject(self.pixels)
        return Landmarks(other.resized(*self.size).project(rays), self.depth, self.size)


NO_LANDMARKS = Landmarks(np.empty((0, 2)), np.empty(0), (1, 1))


@dataclass(frozen=True)
class ScaleSourcesConfig:
    """Lengths in metres."""

    stereo_every: int = 500_000_000  # ns between two looks at the right eye
    stereo_points: int = 30  # that both eyes must have
    stereo_sigma: float = 0.01  # of one look; points of one eye are no better than this
    path: int = 200  # poses over which camera and robot are compared
    least_motion: float = 0.004  # root mean square of the robot's positions in the window
    alike: int = 10  # neighbouring poses, of one key frame, share their error
    least_poses: int = 20  # two independent ones: fewer fit any path exactly
    explained: float = 0.75  # share of the robot's motion that the camera must show as well
    robot_sigma: float = 0.0002  # of one position of the robot
    shaft: ShaftConfig = field(default_factory=ShaftConfig)


def from_stereo(
    points: Landmarks, metric: DepthMap, focal: float, config: ScaleSourcesConfig
) -> Measurement | None:
    """By the median ratio at the points that are followed; None where both have too few.

    The points carry the scale of map and motion; depth from one eye is only as good between them
    as the shape that its source gives it.

    Both eyes are as far apart as they were calibrated; the focal length is that of now, the one
    that `points` were made with. Depth of the pair follows it: lengths across the view are then
    right even where the focal length is not, as a wrong one stretches the scene along the view.

    Args:
        points: that are followed, as the camera of `metric` sees them, at any size.
        metric: depth of the pair by its calibration.
        focal: length of now as a share of the calibrated one.
        config: settings.
    """
    if not len(points.pixels):
        return None
    pixels = (points.pixels + 0.5) * (np.array(metric.camera.size) / points.size) - 0.5
    u, v = pixels.astype(np.float32).T
    other = cv2.remap(metric.depth, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(focal * other[:, 0]) - np.log(points.depth)
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) < config.stereo_points:
        return None
    middle = np.median(ratios)
    # Points that have not found their shape yet are wrong together: the spread is not averaged.
    spread = 1.4826 * np.median(np.abs(ratios - middle))
    return float(np.exp(middle)), float(np.hypot(spread, config.stereo_sigma))


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
        few = len(x) < self.config.least_poses
        if few or moved < self.config.least_motion or variance <= 0:
            return None
        U, D, Vt = np.linalg.svd(y.T @ x / len(x))
        S = np.array([1, 1, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
        factor = float(D @ S / variance)
        residual = y - factor * x @ (U @ np.diag(S) @ Vt).T
        unexplained = (residual**2).sum(axis=1).mean()
        if unexplained > (1 - self.config.explained) * moved**2:
            return None  # noise, or a pose that stands still: the paths are not the same
        spread = np.sqrt(unexplained + self.config.robot_sigma**2)
        independent = max(1.0, len(x) / self.config.alike)
        return factor, float(spread / moved / np.sqrt(independent))
