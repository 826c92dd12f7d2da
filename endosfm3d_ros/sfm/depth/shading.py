"""Depth from shading: the fallback for one eye without network weights.

The lamp of an endoscope sits at its camera, so tissue gets darker with the square of its distance:
z ~ 1 / sqrt(radiance). Albedo, slope and inter-reflections are ignored, which is why the result is
smoothed to low frequencies, has no scale, and is never given more confidence than 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.source import DepthSource
from endosfm3d_ros.types import DepthMap, Frame, ScaleSource


@dataclass(frozen=True)
class ShadingConfig:
    """Values for 8-bit video with the usual display gamma."""

    gamma: float = 2.2
    width: int = 160  # px; the result has no finer detail than the smoothing anyway
    smoothing: float = 0.05  # standard deviation as a share of the width
    saturated: int = 240  # grey level; brighter is a highlight
    dark: int = 12  # grey level; darker carries no light to reason with
    span: float = 2.5  # depth is kept within this factor of its median
    confidence: float = 0.3


class ShadingSource(DepthSource):
    """Smooth relative depth from brightness."""

    name = "shading"

    def __init__(self, config: ShadingConfig | None = None) -> None:
        self.config = config or ShadingConfig()

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """Scale-free depth at the image size; NaN where no usable light is near."""
        c = self.config
        height = max(1, round(frame.image.shape[0] * c.width / frame.image.shape[1]))
        small = cv2.resize(frame.image, (c.width, height), interpolation=cv2.INTER_AREA)
        # 1 radiance, and where it tells of distance
        value = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        usable = (value > c.dark) & (value < c.saturated)
        if frame.tool_labels is not None:
            labels = cv2.resize(
                frame.tool_labels, (c.width, height), interpolation=cv2.INTER_NEAREST
            )
            usable &= labels == 0
        radiance = (value.astype(np.float32) / 255) ** c.gamma
        # 2 normalised smoothing, so that highlights and tools do not bleed in
        sigma = c.smoothing * c.width
        weight = cv2.GaussianBlur(usable.astype(np.float32), (0, 0), sigma)
        light = cv2.GaussianBlur(radiance * usable, (0, 0), sigma) / np.maximum(weight, 1e-6)
        # 3 inverse-square law along the ray, then z
        distance = 1 / np.sqrt(np.maximum(light, 1e-6))
        rays = camera.undistorted().resized(c.width, height).rays()
        depth = distance / np.linalg.norm(rays, axis=-1)
        return self._finish(frame, camera, depth, weight)

    def _finish(
        self, frame: Frame, camera: PinholeCamera, depth: np.ndarray, weight: np.ndarray
    ) -> DepthMap:
        """Clamp to the plausible span, invalidate, and enlarge to the image size."""
        c = self.config
        known = weight > 0.05
        if known.any():
            middle = float(np.median(depth[known]))
            depth = np.clip(depth, middle / c.span, middle * c.span)
        depth = np.where(known, depth, np.nan).astype(np.float32)
        size = frame.image.shape[1], frame.image.shape[0]
        depth = cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR)
        confidence = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR) * c.confidence
        confidence = np.where(np.isfinite(depth), confidence, 0).astype(np.float32)
        return DepthMap(
            depth, confidence, camera.undistorted(), self.name, ScaleSource.RELATIVE, frame.stamp
        )
