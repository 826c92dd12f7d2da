"""Whether the camera stands still: places of the picture that stay where they are.

Before a camera that moves nothing stays in its place for long. Before one that rests the border
of the picture, bone, or tissue that nobody pulls does, however much the rest is moved about. So
the pose is held while enough places, spread over the picture, have not moved for half a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.features.optical_flow import corners, follow
from endosfm3d_ros.sfm.features.sampling import tissue_mask
from endosfm3d_ros.types import CameraPose, Frame, TrackingState


@dataclass(frozen=True)
class RestConfig:
    """Lengths in px refer to images of the tracking width, shares to the picture."""

    points: int = 150
    spacing: float = 0.035  # of the width between two of them
    quality: float = 0.005  # share of the strongest corner's response
    highlight: int = 230  # grey level of the darkest channel
    dark: int = 12  # grey level of the brightest channel
    window: int = 15  # px
    moved: float = 0.001  # of the width that a place may seem to move ...
    least_moved: float = 0.35  # ... but so many px
    share: float = 0.1  # of the places that stay, from which on the camera rests
    spread: float = 0.15  # standard deviation of their coordinates, of the picture's sides
    seconds: float = 0.5  # for which they have stayed
    frames: int = 4
    misses: int = 2  # frames in a row with too few, after which the camera moves
    renewal: float = 0.2  # s, at the least, between two pictures that later ones are compared with
    strayed: float = 0.003  # of the distance, and rad: a pose that strayed less was right


class RestWatch:
    """`look` at every image; `held` gives the pose of a camera that rests."""

    def __init__(self, config: RestConfig | None = None) -> None:
        self.config = config or RestConfig()
        self.reset()

    def reset(self) -> None:
        """The next image is a first one."""
        self._grey: np.ndarray | None = None  # what images are compared with
        self._since = 0  # its stamp
        self._anchor: CameraPose | None = None  # where the camera was then
        self._offset = np.eye(4)  # of the map, by all that poses strayed while the camera rested
        self._frames = self._misses = 0
        self.resting = False

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor."""
        self._offset = se3.scaled(self._offset, factor)
        if self._anchor is not None:
            lengths = np.diag([factor] * 3 + [1.0] * 3)
            T_map = se3.scaled(self._anchor.T_map_camera, factor)
            covariance = lengths @ self._anchor.covariance @ lengths
            self._anchor = CameraPose(
                T_map, np.eye(4), covariance, self._anchor.state, self._anchor.inliers
            )

    def look(self, frame: Frame, grey: np.ndarray) -> None:
        """An image (H, W) uint8 of even light; `resting` tells what is known after it."""
        c = self.config
        if self._grey is None or self._grey.shape != grey.shape:
            self._begin(frame, grey)
            return
        self._frames += 1
        if self._stays(grey):
            self._misses = 0
            seconds = (frame.stamp - self._since) * 1e-9
            self.resting |= seconds >= c.seconds and self._frames >= c.frames
            return
        self._misses += 1
        if self._misses < c.misses:
            return
        self.resting = False
        if (frame.stamp - self._since) * 1e-9 >= c.renewal or frame.stamp < self._since:
            self._begin(frame, grey)

    def held(self, pose: CameraPose, distance: float) -> CameraPose:
        """The pose in the map; that of before while the camera rests.

        Args:
            pose: what tracking says of the image that was looked at.
            distance: of the scene.
        """
        T = self._offset @ pose.T_map_camera
        if self._anchor is None:
            self._anchor = pose if pose.state == TrackingState.TRACKING else None
        if not (self.resting and self._anchor is not None):
            return _placed(pose, T, pose.covariance)
        away = se3.inverse(self._anchor.T_map_camera) @ T
        strayed = np.linalg.norm(away[:3, 3]) / distance + se3.rotation_angle(away)
        if (
            strayed > self.config.strayed and not self._misses
        ):  # not to be believed when the camera moves again either
            self._offset = self._anchor.T_map_camera @ se3.inverse(pose.T_map_camera)
        return _placed(pose, self._anchor.T_map_camera, self._anchor.covariance)

    def _begin(self, frame: Frame, grey: np.ndarray) -> None:
        """Later images are compared with this one."""
        c, width = self.config, grey.shape[1]
        mask = tissue_mask(frame, grey.shape, c.highlight, c.dark).astype(np.uint8)
        nothing = np.empty((0, 2), np.float32)
        self._pixels = corners(grey, mask, c.points, c.quality, c.spacing * width, nothing)
        self._grey, self._since, self._anchor = grey, frame.stamp, None
        self._frames = self._misses = 0

    def _stays(self, grey: np.ndarray) -> bool:
        """Whether enough places, from side to side, are where they were."""
        c, size = self.config, np.array(grey.shape[::-1])
        there, found = follow(
            self._grey, grey, self._pixels, self._pixels,
            window=c.window, levels=0, round_trip=c.least_moved,
        )  # fmt: skip
        limit = max(c.least_moved, c.moved * size[0])
        still = found & (np.linalg.norm(there - self._pixels, axis=1) < limit)
        if still.sum() < c.share * max(len(still), 1) or still.sum() < 8:
            return False
        return bool((self._pixels[still].std(axis=0) > c.spread * size).all())


def _placed(pose: CameraPose, T_map_camera: np.ndarray, covariance: np.ndarray) -> CameraPose:
    """The same odometry elsewhere in the map."""
    T_map_odom = se3.normalised(T_map_camera @ se3.inverse(pose.T_odom_camera))
    return CameraPose(pose.T_odom_camera, T_map_odom, covariance, pose.state, pose.inliers)
