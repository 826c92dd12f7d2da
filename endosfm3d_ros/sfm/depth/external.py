"""Depth that somebody else computed and sent along with the image."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.source import DepthSource
from endosfm3d_ros.types import DepthMap, Frame, ScaleSource


class ExternalSource(DepthSource):
    """Hands the frame's own depth on, in metres, with confidence 1 where it is valid."""

    name = "topic"
    sees_surround = True

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """The given depth with non-positive and infinite values as NaN (REP 117).

        Raises:
            InputError: the frame carries no depth, or an array that is no depth map.
        """
        if frame.depth is None:
            raise InputError("depth source 'topic' is chosen and this frame came without depth")
        if frame.depth.ndim != 2 or not frame.depth.size:
            raise InputError(f"depth of shape {list(frame.depth.shape)}: (H, W) is accepted")
        with np.errstate(invalid="ignore"):
            good = np.isfinite(frame.depth) & (frame.depth > 0)
        depth = np.where(good, frame.depth, np.nan).astype(np.float32)
        height, width = frame.image.shape[:2]
        if depth.shape != (height, width):
            depth = cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)
        confidence = np.isfinite(depth).astype(np.float32)
        return DepthMap(
            depth, confidence, camera.undistorted(), self.name, ScaleSource.TOPIC, frame.stamp
        )
