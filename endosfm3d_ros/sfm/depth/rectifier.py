"""Both eyes to rows that match, and depth back from there into the raw left frame.

The rectified and the raw left camera share their optical centre, so a raw (undistorted) pixel
sees the rectified image through the homography `K_rect R K_raw^-1` whatever its depth; only the
z coordinate has to be rotated back. No forward warping, hence no holes.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import StereoGeometry


class Rectifier:
    """Maps of one stereo geometry at the working size."""

    def __init__(self, geometry: StereoGeometry, width: int, height: int) -> None:
        self.geometry = geometry
        self.size = (width, height)
        scale = np.diag([width / geometry.left.width, height / geometry.left.height, 1.0])
        shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        self._resample = np.linalg.inv(shift) @ scale @ shift  # half-pixel centres
        self.K = self._resample @ geometry.P_left[:, :3]
        self.K_right = self._resample @ geometry.P_right[:, :3]
        self.camera = geometry.left.undistorted().resized(width, height)

    @property
    def focal_baseline(self) -> float:
        """fx * baseline in px * m: depth = focal_baseline / disparity."""
        return float(self.K[0, 0]) * self.geometry.baseline

    @property
    def disparity_offset(self) -> float:
        """Disparity of a point at infinity in px."""
        return float(self.K[0, 2] - self.K_right[0, 2])

    def rectify(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both eyes as rectified grey images of the working size, (H, W) uint8."""
        return tuple(
            self._rectify_eye(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), maps)
            for image, maps in ((left, self._left_maps), (right, self._right_maps))
        )

    def _rectify_eye(self, grey: np.ndarray, maps: tuple | None) -> np.ndarray:
        if maps is None:
            return cv2.resize(grey, self.size, interpolation=cv2.INTER_AREA)
        return cv2.remap(grey, *maps, cv2.INTER_LINEAR)

    @cached_property
    def _left_maps(self) -> tuple | None:
        g = self.geometry
        return self._eye_maps(g.left, g.R_left, g.P_left, self.K)

    @cached_property
    def _right_maps(self) -> tuple | None:
        g = self.geometry
        return self._eye_maps(g.right, g.R_right, g.P_right, self.K_right)

    def _eye_maps(
        self, camera: PinholeCamera, R: np.ndarray, P: np.ndarray, K: np.ndarray
    ) -> tuple | None:
        if not camera.distorted and np.allclose(R, np.eye(3)) and np.allclose(P[:, :3], camera.K):
            return None  # already rectified: resampling would only blur
        return camera.rectifying_maps(R, K, self.size)

    @cached_property
    def _raw_maps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """For every raw pixel: its place in the rectified image, and z_raw / z_rectified."""
        R = self.geometry.R_left
        if np.allclose(R, np.eye(3)) and np.allclose(self.K, self.camera.K):
            return None
        rays = self.camera.rays() @ R.T
        pixels = (rays / rays[..., 2:]) @ self.K.T
        return (
            pixels[..., 0].astype(np.float32),
            pixels[..., 1].astype(np.float32),
            (1.0 / rays[..., 2]).astype(np.float32),
        )

    def to_raw(self, depth: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rectified depth and confidence as the raw, undistorted left camera sees them."""
        if self._raw_maps is None:
            return depth, confidence
        u, v, z_ratio = self._raw_maps
        outside = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": float("nan")}
        nearest = cv2.remap(depth, u, v, cv2.INTER_NEAREST, **outside)
        smooth = cv2.remap(depth, u, v, cv2.INTER_LINEAR, **outside)
        confidence = cv2.remap(confidence, u, v, cv2.INTER_NEAREST)
        return within_surfaces(smooth, nearest) * z_ratio, confidence


def within_surfaces(smooth: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """The interpolated depth, but not across an edge, where it belongs to neither surface."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(smooth - nearest) < 0.01 * nearest, smooth, nearest)
