"""What is believed about focal length and principal point, and how beliefs are joined."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera


@dataclass(frozen=True)
class LensBelief:
    """Focal length and principal point as shares of the image width, independent and normal."""

    mean: np.ndarray  # (3,) log(f / W), (cx + 0.5) / W, (cy + 0.5) / W
    sigma: np.ndarray  # (3,)

    @classmethod
    def of_camera(
        cls, camera: PinholeCamera, focal_sigma: float, centre_sigma: float
    ) -> LensBelief:
        """Belief in a camera; of two focal lengths the geometric mean."""
        focal = np.log(np.sqrt(camera.fx * camera.fy) / camera.width)
        centre = (camera.cx + 0.5) / camera.width, (camera.cy + 0.5) / camera.width
        return cls(np.array([focal, *centre]), np.array([focal_sigma, centre_sigma, centre_sigma]))

    @classmethod
    def of_lens(cls, lens: np.ndarray, sigma: np.ndarray, width: float) -> LensBelief:
        """From (3,) f, cx, cy in px of an image of this width."""
        f, cx, cy = lens
        return cls(np.array([np.log(f / width), (cx + 0.5) / width, (cy + 0.5) / width]), sigma)

    def lens(self, width: float) -> np.ndarray:
        """(3,) f, cx, cy in px of an image of this width."""
        f, cx, cy = np.exp(self.mean[0]), *self.mean[1:]
        return np.array([f * width, cx * width - 0.5, cy * width - 0.5])

    def prior(self, width: float) -> tuple[np.ndarray, np.ndarray]:
        """(mean, sigma) of log f, cx, cy in px, for bundle adjustment."""
        f, cx, cy = self.lens(width)
        return np.array([np.log(f), cx, cy]), self.sigma * (1, width, width)

    def joined(self, other: LensBelief) -> LensBelief:
        """Both, as independent observations of one camera."""
        a, b = self.sigma**-2, other.sigma**-2
        return LensBelief((a * self.mean + b * other.mean) / (a + b), (a + b) ** -0.5)

    def camera(self, like: PinholeCamera) -> PinholeCamera:
        """A camera of the size, pixel shape and distortion of another one."""
        f, cx, cy = self.lens(like.width)
        factor = f / np.sqrt(like.fx * like.fy)
        return replace(
            like, fx=float(like.fx * factor), fy=float(like.fy * factor), cx=float(cx), cy=float(cy)
        )

    def covariance(self, like: PinholeCamera) -> np.ndarray:
        """(4, 4) of fx fy cx cy in px^2; both focal lengths move together."""
        camera = self.camera(like)
        focal = self.sigma[0] * np.array([camera.fx, camera.fy])
        covariance = np.diag([0, 0, *(self.sigma[1:] * like.width) ** 2])
        covariance[:2, :2] = np.outer(focal, focal)
        return covariance


def apart(a: PinholeCamera, b: PinholeCamera) -> float:
    """How far two cameras of one size differ: in log focal length, or in centre by the width."""
    centre = max(abs(a.cx - b.cx), abs(a.cy - b.cy)) / a.width
    return float(max(abs(np.log(a.fx / b.fx)), abs(np.log(a.fy / b.fy)), centre))
