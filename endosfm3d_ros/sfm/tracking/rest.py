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
    share: float = 0.1  # of the places that stay, from which on the camera rests ...
    least_share: float = 0.04  # ... and down to which it goes on to rest
    home_share: float = 0.3  # of the places of the last rest that are where they were
    least_points: int = 7
    many: float = 0.3  # of the places; so many may lie nearer to each other
    spread_of_many: float = 0.15
    spread: float = 0.2  # standard deviation of their coordinates, of the picture's sides
    seconds: float = 0.5  # for which they have stayed
    frames: int = 4
    misses: int = 2  # frames in a row with too few, after which the camera moves
    renewal: float = 0.2  # s, at the least, between two pictures that later ones are compared with
    strayed: float = 0.003  # of the distance, and rad: a pose that strayed less was right


@dataclass
class Reference:
    """What later images are compared with."""

    stamp: int
    grey: np.ndarray  # (H, W) uint8
    pixels: np.ndarray  # (N, 2) float32
    anchor: CameraPose | None = None  # where the camera was; None until it is believed

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor."""
        if self.anchor is not None:
            lengths = np.diag([factor] * 3 + [1.0] * 3)
            covariance = lengths @ self.anchor.covariance @ lengths
            T_map = se3.scaled(self.anchor.T_map_camera, factor)
            self.anchor = CameraPose(
                T_map, np.eye(4), covariance, self.anchor.state, self.anchor.inliers
            )


class RestWatch:
    """`look` at every image; `held` gives the pose of a camera that rests."""

    def __init__(self, config: RestConfig | None = None) -> None:
        self.config = config or RestConfig()
        self.reset()

    def reset(self) -> None:
        """The next image is a first one."""
        self._reference: Reference | None = None
        self._home: Reference | None = None  # of the last rest, or the first image
        self._offset = np.eye(4)  # of the map, by all that poses strayed while the camera rested
        self._frames = self._misses = 0
        self.resting = False

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor."""
        self._offset = se3.scaled(self._offset, factor)
        for reference in {id(r): r for r in (self._reference, self._home) if r}.values():
            reference.rescale(factor)

    def look(self, frame: Frame, grey: np.ndarray) -> None:
        """An image (H, W) uint8 of even light; `resting` tells what is known after it."""
        c = self.config
        if self._reference is None or self._reference.grey.shape != grey.shape:
            self._home = self._begin(frame, grey)
            return
        seconds = (frame.stamp - self._reference.stamp) * 1e-9
        self._frames += 1
        if self._stays(self._reference, grey, c.least_share if self.resting else c.share):
            self._misses = 0
            if seconds >= c.seconds and self._frames >= c.frames:
                self.resting, self._home = True, self._reference
            return
        self._misses += 1
        if self._misses < c.misses:
            return
        self.resting = False
        if seconds < 0 or seconds >= c.renewal:
            self._begin(frame, grey)
            self._come_home(grey)

    def _come_home(self, grey: np.ndarray) -> None:
        """A picture that is as it was at the last rest: the camera is where it was then."""
        home = self._home
        if home and home.anchor and self._stays(home, grey, self.config.home_share):
            self._reference, self.resting = home, True

    def held(self, pose: CameraPose, distance: float) -> CameraPose:
        """The pose in the map; that of before while the camera rests.

        Args:
            pose: what tracking says of the image that was looked at.
            distance: of the scene.
        """
        placed = _placed(pose, self._offset @ pose.T_map_camera, pose.covariance)
        reference = self._reference
        if reference is None:
            return placed
        if reference.anchor is None and pose.state == TrackingState.TRACKING:
            reference.anchor = placed
        if not self.resting or reference.anchor is None:
            return placed
        anchor = reference.anchor.T_map_camera
        away = se3.inverse(anchor) @ placed.T_map_camera
        strayed = np.linalg.norm(away[:3, 3]) / distance + se3.rotation_angle(away)
        if strayed > self.config.strayed and not self._misses:
            # what is not believed now is not believed when the camera moves again either
            self._offset = anchor @ se3.inverse(pose.T_map_camera)
        return _placed(pose, anchor, reference.anchor.covariance)

    def _begin(self, frame: Frame, grey: np.ndarray) -> Reference:
        """Later images are compared with this one."""
        c, width = self.config, grey.shape[1]
        mask = tissue_mask(frame, grey.shape, c.highlight, c.dark).astype(np.uint8)
        nothing = np.empty((0, 2), np.float32)
        pixels = corners(grey, mask, c.points, c.quality, c.spacing * width, nothing)
        self._reference = Reference(frame.stamp, grey, pixels)
        self._frames = self._misses = 0
        return self._reference

    def _stays(self, reference: Reference, grey: np.ndarray, share: float) -> bool:
        """Whether enough places, from side to side, are where they were."""
        c, size, pixels = self.config, np.array(grey.shape[::-1]), reference.pixels
        if len(pixels) < c.least_points or reference.grey.shape != grey.shape:
            return False
        there, found = follow(
            reference.grey, grey, pixels, pixels,
            window=c.window, levels=0, round_trip=c.least_moved,
        )  # fmt: skip
        limit = max(c.least_moved, c.moved * size[0])
        still = found & (np.linalg.norm(there - pixels, axis=1) < limit)
        if still.sum() < max(c.least_points, share * len(still)):
            return False
        spread = c.spread_of_many if still.sum() > c.many * len(still) else c.spread
        return bool((pixels[still].std(axis=0) > spread * size).all())


def _placed(pose: CameraPose, T_map_camera: np.ndarray, covariance: np.ndarray) -> CameraPose:
    """The same odometry elsewhere in the map."""
    T_map_odom = se3.normalised(T_map_camera @ se3.inverse(pose.T_odom_camera))
    return CameraPose(pose.T_odom_camera, T_map_odom, covariance, pose.state, pose.inliers)
