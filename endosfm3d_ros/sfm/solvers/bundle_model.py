"""What bundle adjustment is given and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class BundleConfig:
    """Chosen for windows of 5 to 20 views and some hundred points."""

    iterations: int = 15
    cauchy: float = 2.0  # standard deviations beyond which a residual counts ever less
    damping: float = 1e-3  # first Levenberg-Marquardt factor
    tolerance: float = 1e-4  # relative fall of the cost that ends it
    min_depth: float = 1e-6  # points nearer than this are behind the camera

    def kernel(self, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight and robust cost of whitened residuals (Cauchy): highlights creep, tissue gives."""
        square = (size / self.cauchy) ** 2
        return 1 / (1 + square), self.cauchy**2 / 2 * np.log1p(square)


@dataclass(frozen=True)
class Observations:
    """Where views see points; M rows each, pixels without lens distortion."""

    view: np.ndarray  # (M,) int
    point: np.ndarray  # (M,) int
    pixels: np.ndarray  # (M, 2) float64
    depth: np.ndarray  # (M,) float64 measured along z, NaN where it is not known
    pixel_sigma: np.ndarray | float  # px, one or M
    depth_sigma: np.ndarray | float  # relative, one or M


@dataclass(frozen=True)
class Bundle:
    """A solution, or the start of one. `T_view_world` maps world points into a view."""

    T_view_world: np.ndarray  # (V, 4, 4)
    points: np.ndarray  # (N, 3) in the world
    lens: np.ndarray  # (3,) focal length, cx, cy in px; square pixels
    cost: float = np.inf  # half the robust sum of squared whitened residuals
    variance: float = 1.0  # of a whitened residual, robust; 1 where the sigmas are right
    lens_covariance: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))  # as `lens`
    pose_covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 6, 6)))  # left motion
