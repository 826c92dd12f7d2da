"""The camera against the map: a small rigid correction of the tracker's pose.

The tracker compares images with its last key frame; the map remembers everything. Points of the
map with the place where the flow finds them in the image give a robust Gauss-Newton fit of six
numbers. The camera takes the dominant rigid motion; what is left over is deformation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.deformation.solver import Samples


@dataclass(frozen=True)
class RegistrationConfig:
    """Noise of the measurements, and how far the tracker may be corrected."""

    noise: float = 0.001  # standard deviation of a flow vector as a slope: 0.3 px at 285 px
    step: float = 0.03  # prior standard deviation of a correction, radians and metres
    samples: int = 500
    fewest: int = 50
    min_weight: float = 0.05  # of a flow vector
    rounds: int = 3
    huber: float = 2.0  # standard deviations
    inlier: float = 3.0  # standard deviations
    min_inliers: float = 0.5  # share of the samples; fewer agree on no rigid motion
    max_translation: float = 0.06  # of the median depth
    max_rotation: float = 0.06  # radians
    return_rate: float = 0.02  # share of the correction that is given back to the tracker per frame


@dataclass(frozen=True)
class Registration:
    """A correction and whether to believe it."""

    T_camera_predicted: np.ndarray  # 4x4: predicted camera coordinates to corrected ones
    inliers: float  # share of the weight that agrees
    accepted: bool


def register(samples: Samples, config: RegistrationConfig) -> Registration:
    """The rigid motion that most of the samples agree on.

    Args:
        samples: points of the map with the rays on which the image shows them.
        config: noise and limits.
    """
    T = np.eye(4)
    used = np.flatnonzero(samples.flow_weight > config.min_weight)
    used = used[:: max(1, len(used) // config.samples)]
    if len(used) < config.fewest:
        return Registration(T, 0.0, False)
    rest = samples.points[used].astype(np.float64)
    prior = np.eye(6) / config.step**2
    for _ in range(config.rounds):
        points = se3.transform(T, rest)
        residual, jacobian = _linearise(points, samples.rays[used], config.noise)
        size = np.abs(residual)
        weight = samples.flow_weight[used, None] * np.minimum(
            1, config.huber / np.maximum(size, 1e-9)
        )
        weighted = jacobian * weight[..., None]
        H = np.einsum("nri,nrj->ij", weighted, jacobian) + prior
        step = np.linalg.solve(H, np.einsum("nri,nr->i", weighted, residual))
        T = se3.from_vectors(step[:3], step[3:]) @ T
    inliers = float((size.max(axis=1) < config.inlier).mean())
    depth = float(np.median(rest[:, 2]))
    near = np.linalg.norm(T[:3, 3]) < config.max_translation * depth
    near &= se3.rotation_angle(T) < config.max_rotation
    return Registration(T, inliers, bool(near and inliers > config.min_inliers))


def _linearise(points: np.ndarray, rays: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (n, 2) in standard deviations, and their derivatives (n, 2, 6).

    The six are a rotation vector and a translation of the points, in that order.
    """
    x, y, z = points.T
    slopes = points[:, :2] / z[:, None]
    zero = np.zeros_like(z)
    by_rotation = np.array([[zero, z, -y], [-z, zero, x], [y, -x, zero]])  # -[p]x
    by_translation = np.eye(3)[:, :, None] * np.ones_like(z)
    point = np.concatenate([by_rotation, by_translation], axis=1)  # (3, 6, n)
    jacobian = (point[:2] - slopes.T[:, None] * point[2]) / (z * noise)
    return (rays - slopes) / noise, jacobian.transpose(2, 0, 1)
