"""The one pinhole camera of the package.

Pixel centres lie at integer coordinates (OpenCV, ROS), so a pixel at `u` in an image of width
`w` lies at `(u + 0.5) * s - 0.5` in the image of width `s * w`. Distortion follows OpenCV:
`plumb_bob` has 4 or 5 coefficients (k1 k2 p1 p2 [k3]), `rational_polynomial` 8, with thin prism
12 (s1 s2 s3 s4), with a tilted sensor 14. A `fisheye` lens has four (Kannala and Brandt 2006),
which ROS calls `equidistant`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

DISTORTION_MODELS = {0: "plumb_bob", 4: "plumb_bob", 5: "plumb_bob", 8: "rational_polynomial",
                     12: "rational_polynomial", 14: "rational_polynomial"}  # fmt: skip
PINHOLE, FISHEYE = "pinhole", "fisheye"
# OpenCV's five steps leave 0.1 px and more at the edge of a strongly distorted picture.
INVERSION = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)


@dataclass(frozen=True)
class PinholeCamera:
    """Focal lengths and principal point in pixels of a `width` x `height` image.

    Raises:
        InputError: a size is not positive, a value is not finite, a focal length is not
            positive, or the lens model does not have that number of coefficients.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = field(default=())
    lens: str = PINHOLE  # or FISHEYE, which needs four coefficients

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"camera size {self.width}x{self.height}: both must be positive")
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.all(np.isfinite(values)):
            raise InputError(f"camera values {values}: all must be finite")
        if self.fx <= 0 or self.fy <= 0:
            raise InputError(f"focal lengths {self.fx}, {self.fy} px: both must be positive")
        self._check_lens()

    def _check_lens(self) -> None:
        if self.lens not in (PINHOLE, FISHEYE):
            raise InputError(f"lens {self.lens!r}: {PINHOLE} and {FISHEYE} are accepted")
        accepted = (4,) if self.lens == FISHEYE else tuple(DISTORTION_MODELS)
        if len(self.distortion) not in accepted:
            counts = ", ".join(map(str, accepted[:-1])) + " or " if accepted[1:] else ""
            raise InputError(
                f"{len(self.distortion)} distortion coefficients: {counts}{accepted[-1]} are "
                f"accepted for a {self.lens} lens"
            )

    @classmethod
    def from_matrix(
        cls,
        K: np.ndarray,
        width: int,
        height: int,
        distortion: tuple[float, ...] = (),
        lens: str = PINHOLE,
    ) -> PinholeCamera:
        """Camera of a 3x3 matrix in pixels; skew is dropped."""
        K = np.asarray(K, float).reshape(3, 3)
        focal_and_centre = map(float, (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        return cls(width, height, *focal_and_centre, distortion, lens)

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
        """Whether straight lines are bent: any coefficient but zero, or a fisheye lens."""
        return self.lens == FISHEYE or any(self.distortion)

    @property
    def distortion_model(self) -> str:
        """The name that sensor_msgs/CameraInfo uses for this lens."""
        if self.lens == FISHEYE:
            return "equidistant"
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
        return replace(self, distortion=(), lens=PINHOLE)

    def with_lens_of(self, other: PinholeCamera) -> PinholeCamera:
        """The same matrix with the lens distortion of another camera."""
        return replace(self, distortion=other.distortion, lens=other.lens)

    def rectifying_maps(
        self, R: np.ndarray | None, K: np.ndarray, size: tuple[int, int], kind: int = cv2.CV_16SC2
    ) -> tuple[np.ndarray, np.ndarray]:
        """OpenCV's maps from this camera's pixels to a pinhole of matrix K, turned by R.

        Args:
            R: 3x3 rotation from this camera to the other one; None for none.
            K: 3x3 matrix of the other one.
            size: (width, height) of the other one's picture.
            kind: the type of map, as OpenCV names it.
        """
        R = np.eye(3) if R is None else R
        coefficients = np.array(self.distortion) if self.distortion else None
        if self.lens == FISHEYE:
            return cv2.fisheye.initUndistortRectifyMap(self.K, coefficients, R, K, size, kind)
        return cv2.initUndistortRectifyMap(self.K, coefficients, R, K, size, kind)

    def rays(self) -> np.ndarray:
        """(H, W, 3) float32 viewing rays with z = 1 of every pixel, distortion removed."""
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        pixels = np.stack([u, v], axis=-1).reshape(-1, 2)
        return self.unproject(pixels).reshape(self.height, self.width, 3).astype(np.float32)

    def unproject(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 3) rays with z = 1 in the camera frame."""
        pixels = np.asarray(pixels, np.float64).reshape(-1, 2)
        if self.lens == FISHEYE:
            coefficients = np.array(self.distortion)
            normalised = cv2.fisheye.undistortPoints(pixels[:, None], self.K, coefficients)[:, 0]
        elif self.distorted:
            coefficients = np.array(self.distortion)
            normalised = cv2.undistortPointsIter(
                pixels[:, None], self.K, coefficients, np.eye(3), np.eye(3), INVERSION
            )[:, 0]
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
            if self.lens == FISHEYE:
                projected, _ = cv2.fisheye.projectPoints(
                    points[front][:, None], zero, zero, self.K, coefficients
                )
                pixels[front] = projected[:, 0]
            else:
                projected, _ = cv2.projectPoints(points[front], zero, zero, self.K, coefficients)
                pixels[front] = projected[:, 0]
        return pixels
