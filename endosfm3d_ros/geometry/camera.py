"""The one pinhole camera of the package.

Pixel centres lie at integer coordinates (OpenCV, ROS), so a pixel at `u` in an image of width
`w` lies at `(u + 0.5) * s - 0.5` in the image of width `s * w`. Distortion follows OpenCV:
`plumb_bob` has 4 or 5 coefficients (k1 k2 p1 p2 [k3]), `rational_polynomial` 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

DISTORTION_MODELS = {0: "plumb_bob", 4: "plumb_bob", 5: "plumb_bob", 8: "rational_polynomial"}


@dataclass(frozen=True)
class PinholeCamera:
    """Focal lengths and principal point in pixels of a `width` x `height` image.

    Raises:
        InputError: a size is not positive, a value is not finite, a focal length is not
            positive, or the number of distortion coefficients is not 0, 4, 5 or 8.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"camera size {self.width}x{self.height}: both must be positive")
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.all(np.isfinite(values)):
            raise InputError(f"camera values {values}: all must be finite")
        if self.fx <= 0 or self.fy <= 0:
            raise InputError(f"focal lengths {self.fx}, {self.fy} px: both must be positive")
        if len(self.distortion) not in DISTORTION_MODELS:
            count = len(self.distortion)
            raise InputError(f"{count} distortion coefficients: 0, 4, 5 or 8 are accepted")

    @classmethod
    def from_matrix(
        cls, K: np.ndarray, width: int, height: int, distortion: tuple[float, ...] = ()
    ) -> PinholeCamera:
        """Camera of a 3x3 matrix in pixels; skew is dropped."""
        K = np.asarray(K, float).reshape(3, 3)
        return cls(width, height, *map(float, (K[0, 0], K[1, 1], K[0, 2], K[1, 2])), distortion)

    @classmethod
    def default(cls, width: int, height: int) -> PinholeCamera:
        """The start of self-calibration: f = 0.82 of the width, centred (house plan section 4)."""
        focal = 0.82 * width
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def K(self) -> np.ndarray:
        """3x3 float64 camera matrix in pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    @property
    def distorted(self) -> bool:
        """Whether any distortion coefficient differs from zero."""
        return any(self.distortion)

    @property
    def distortion_model(self) -> str:
        """The name that sensor_msgs/CameraInfo uses for this number of coefficients."""
        return DISTORTION_MODELS[len(self.distortion)]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), the order that OpenCV takes."""
        return self.width, self.height

    def resized(self, width: int, height: int) -> PinholeCamera:
        """The same view sampled at another size."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> PinholeCamera:
        """The camera of the sub-image that starts at pixel (left, top)."""
        return replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)

    def undistorted(self) -> PinholeCamera:
        """The same matrix without lens distortion."""
        return replace(self, distortion=())

    def rays(self) -> np.ndarray:
        """(H, W, 3) float32 viewing rays with z = 1 of every pixel, distortion removed."""
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        pixels = np.stack([u, v], axis=-1).reshape(-1, 2)
        return self.unproject(pixels).reshape(self.height, self.width, 3).astype(np.float32)

    def unproject(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 3) rays with z = 1 in the camera frame."""
        pixels = np.asarray(pixels, np.float64).reshape(-1, 2)
        if self.distorted:
            coefficients = np.array(self.distortion)
            normalised = cv2.undistortPoints(pixels[:, None], self.K, coefficients)[:, 0]
        else:
            normalised = (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
        return np.column_stack([normalised, np.ones(len(normalised))])

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points in the camera frame to (N, 2) pixels; NaN where z <= 0."""
        points = np.asarray(points, np.float64).reshape(-1, 3)
        pixels = np.full((len(points), 2), np.nan)
        front = points[:, 2] > 0
        if front.any():
            coefficients = np.array(self.distortion) if self.distorted else None
            zero = np.zeros(3)
            projected, _ = cv2.projectPoints(points[front], zero, zero, self.K, coefficients)
            pixels[front] = projected[:, 0]
        return pixels
