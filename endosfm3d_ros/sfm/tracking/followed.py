"""What tracking carries from image to image: the points of a key frame, and foreseen motion."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.scale.sources import NO_LANDMARKS, Landmarks
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import View
from endosfm3d_ros.types import CameraPose, DepthMap


@dataclass(frozen=True)
class FollowedPoints:
    """The points of a key frame that can still be seen, in the last believed image."""

    raw: np.ndarray | None = None  # (H, W) uint8 that image, as seen
    index: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # (K,) rows
    pixels: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.float32))  # (K, 2)

    def __len__(self) -> int:
        return len(self.index)

    def landmarks(self, keyframe: Keyframe, T_camera_keyframe: np.ndarray) -> Landmarks:
        """As a camera at T (4x4) sees them."""
        points = self._points(keyframe, T_camera_keyframe)
        return Landmarks(self.pixels, points[:, 2], keyframe.camera.size)

    def flow(self, keyframe: Keyframe) -> float:
        """Median motion in px since the key frame; 0 without points."""
        if not len(self):
            return 0.0
        moved = np.linalg.norm(self.pixels - keyframe.pixels[self.index], axis=1)
        return float(np.median(moved))

    def agreeing(
        self, keyframe: Keyframe, T_camera_keyframe: np.ndarray, view: View, limit: float
    ) -> Landmarks:
        """Those within `limit` px of where the pose (4x4) puts them; none without points."""
        if not len(self):
            return NO_LANDMARKS
        points = self._points(keyframe, T_camera_keyframe)
        away = np.linalg.norm(view.camera.project(points) - self.pixels, axis=1)
        good = away < limit
        return Landmarks(self.pixels[good], points[good, 2], view.camera.size)

    def _points(self, keyframe: Keyframe, T_camera_keyframe: np.ndarray) -> np.ndarray:
        """(K, 3) in the camera at T."""
        return se3.transform(T_camera_keyframe, keyframe.points[self.index])


@dataclass(frozen=True)
class Tracked:
    """What tracking says about one frame; all of it in the units of the map."""

    pose: CameraPose
    depth: DepthMap
    landmarks: Landmarks  # as the last believed frame sees them


class ForeseenMotion:
    """Motions that somebody else sees, joined since the last believed frame."""

    def __init__(self) -> None:
        self.T: np.ndarray | None = None  # 4x4 in the units of the map; None: not known

    def join(self, motion: np.ndarray | None, lost: bool) -> None:
        """Enter the motion (4x4) since the last frame; one that is missing breaks the chain.

        `lost` tells whether that frame was believed: if it was, the chain begins with it.
        """
        so_far = self.T if lost else np.eye(4)
        self.T = None if motion is None or so_far is None else motion @ so_far

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor."""
        self.T = None if self.T is None else se3.scaled(self.T, factor)

    def after(self, T: np.ndarray) -> np.ndarray | None:
        """Where it leads from a pose (4x4) of the last believed frame."""
        return None if self.T is None else self.T @ T
