"""Pose of a camera from points with pixels and, where it is known, measured depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3

ITERATIONS = 10
TOLERANCE = 2e-5  # rad, shares of the depth; a step below a hundredth of a pixel is the last one
NEAR = 5e-4  # the same, a quarter of a pixel: to start from
HUBER = 1.5  # standard deviations beyond which a residual counts linearly


@dataclass(frozen=True)
class Correspondences:
    """Points in one camera and where another camera sees them; N rows each."""

    points: np.ndarray  # (N, 3) float64 in the reference camera
    pixels: np.ndarray  # (N, 2) float64, undistorted, in the other image
    depth: np.ndarray  # (N,) float64 measured there along z, NaN where it is not known
    K: np.ndarray  # (3, 3) of the other image
    pixel_sigma: np.ndarray | float  # px, one or N
    depth_sigma: float  # relative

    def subset(self, index: np.ndarray) -> Correspondences:
        """The rows of an index array or mask."""
        each = np.broadcast_to(self.pixel_sigma, len(self.points))[index]
        return Correspondences(
            self.points[index], self.pixels[index], self.depth[index],
            self.K, each, self.depth_sigma,
        )  # fmt: skip


def ransac_pose(data: Correspondences, threshold: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(T_camera_reference, inlier indices) by AP3P in RANSAC, or None where it finds nothing."""
    cv2.setRNGSeed(0)  # the same video gives the same poses
    ok, rotation, translation, inliers = cv2.solvePnPRansac(
        data.points, data.pixels, data.K, None,
        iterationsCount=200, reprojectionError=threshold, flags=cv2.SOLVEPNP_AP3P,
    )  # fmt: skip
    if not ok or inliers is None:
        return None
    return se3.from_vectors(rotation, translation), inliers[:, 0]


@dataclass(frozen=True)
class PosePrior:
    """What is believed of the pose before the points are looked at.

    It decides the directions that the points leave open, and hardly moves the others.
    """

    T: np.ndarray  # 4x4 T_camera_reference
    translation_sigma: float  # in the unit of the points
    rotation_sigma: float  # rad

    @property
    def information(self) -> np.ndarray:
        """(6,) of a small motion applied on the left."""
        sigma = [self.translation_sigma] * 3 + [self.rotation_sigma] * 3
        return 1 / np.square(sigma)


def refine_pose(
    T: np.ndarray,
    data: Correspondences,
    prior: PosePrior | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Iteratively re-weighted Gauss-Newton over pixels and log depth from the start `T`.

    The measured depth is what separates sideways motion from rotation, which look alike in pixels
    alone when the scene is shallow.

    Returns:
        T_camera_reference (4x4) and its covariance (6, 6) in the order x y z rx ry rz of a small
        motion applied on the left. NaN where the points have no solution.
    """
    unit = _unit(data)
    for _ in range(ITERATIONS):
        residuals, J = _linearised(T, data, data.K)
        H, gradient = _normal_equations(residuals, J)
        if prior is not None:
            away = T @ se3.inverse(prior.T)
            offset = np.concatenate([away[:3, 3], Rotation.from_matrix(away[:3, :3]).as_rotvec()])
            H = H + np.diag(prior.information)
            gradient = gradient + prior.information * offset
        step = -np.linalg.solve(H, gradient)
        if not np.isfinite(step).all():
            return np.full((4, 4), np.nan), H
        T = se3.from_vectors(step[3:], step[:3]) @ T
        if (np.abs(step) < tolerance * unit).all():
            break
    return T, np.linalg.inv(H)


@dataclass(frozen=True)
class Resection:
    """Pose and focal length that explain an image."""

    T: np.ndarray  # (4, 4) T_camera_reference
    log_factor: float  # of the focal length, since the reference
    sigma: float  # standard deviation of it, grows with the residuals that remain
    misfit: float  # of the pixels to the points: robust standard deviation in stated ones


def resect(T: np.ndarray, data: Correspondences, focal_sigma: float) -> Resection:
    """Pose and focal length together, from points whose depths differ.

    Coming nearer and zooming look alike for a plane; relief tells them apart.

    Args:
        T: (4, 4) T_camera_reference, the start.
        data: points and pixels; its K is the start of the focal length.
        focal_sigma: of the logarithm of the change, before the points are looked at.
    """
    log_factor, K, unit = 0.0, data.K.copy(), np.append(_unit(data), 1.0)
    for _ in range(ITERATIONS):
        K[0, 0], K[1, 1] = np.exp(log_factor) * data.K[[0, 1], [0, 1]]
        residuals, J = _linearised(T, data, K)
        away = residuals[:2] * data.pixel_sigma + data.pixels.T - K[:2, 2:]
        by_focal = np.concatenate([away / data.pixel_sigma, np.zeros_like(residuals[2:])])
        H, gradient = _normal_equations(residuals, np.concatenate([J, by_focal[None]]))
        H[6, 6] += focal_sigma**-2
        gradient[6] += log_factor * focal_sigma**-2
        step = -np.linalg.solve(H, gradient)
        if not np.isfinite(step).all():
            return Resection(T, log_factor, np.inf, np.inf)
        T = se3.from_vectors(step[3:6], step[:3]) @ T
        log_factor += float(np.clip(step[6], -0.3, 0.3))
        if (np.abs(step) < NEAR * unit).all():
            break
    misfit = float(1.4826 * np.median(np.abs(residuals[:2])))
    sigma = float(np.sqrt(np.linalg.inv(H)[6, 6]) * max(misfit, 1.0))
    return Resection(T, log_factor, sigma, misfit)


def _unit(data: Correspondences) -> np.ndarray:
    """(6,) of a small motion: lengths in depths of the points, angles in radians."""
    middle = np.median(data.points[:, 2]) if len(data.points) else 1.0
    return np.array([middle] * 3 + [1.0] * 3)


def _normal_equations(residuals: np.ndarray, J: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, P) matrix and (P,) gradient of (3, N) residuals with their (P, 3, N) Jacobian."""
    flat = J.reshape(len(J), -1)
    weighted = flat * _huber(residuals).ravel()
    return weighted @ flat.T + 1e-9 * np.eye(len(J)), weighted @ residuals.ravel()


def _huber(residuals: np.ndarray) -> np.ndarray:
    """(3, N) weights; the two pixel coordinates of a point share one."""
    pixel = np.hypot(residuals[0], residuals[1])
    size = np.stack([pixel, pixel, np.abs(residuals[2])])
    return np.minimum(1.0, HUBER / np.maximum(size, 1e-9))


def _linearised(
    T: np.ndarray, data: Correspondences, K: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3, N) whitened residuals u, v, log z and their (6, 3, N) Jacobian."""
    x, y, z = (data.points @ T[:3, :3].T + T[:3, 3]).T
    inverse = 1 / np.maximum(z, 1e-9)
    a, b = x * inverse, y * inverse
    (fx, _, cx), (_, fy, cy), _ = K
    sp, sd = data.pixel_sigma, data.depth_sigma
    known = np.isfinite(data.depth)
    residuals = np.empty((3, len(z)))
    residuals[0] = (fx * a + cx - data.pixels[:, 0]) / sp
    residuals[1] = (fy * b + cy - data.pixels[:, 1]) / sp
    residuals[2] = np.where(known, -np.log(inverse * np.where(known, data.depth, 1)), 0) / sd
    # of a small motion on the left: d point = translation + rotation x point
    J = np.zeros((6, 3, len(z)))
    J[0, 0], J[2, 0] = fx / sp * inverse, -fx / sp * a * inverse
    J[3, 0], J[4, 0], J[5, 0] = -fx / sp * a * b, fx / sp * (1 + a * a), -fx / sp * b
    J[1, 1], J[2, 1] = fy / sp * inverse, -fy / sp * b * inverse
    J[3, 1], J[4, 1], J[5, 1] = -fy / sp * (1 + b * b), fy / sp * a * b, fy / sp * a
    J[2, 2] = known / sd * inverse
    J[3, 2], J[4, 2] = J[2, 2] * y, -J[2, 2] * x
    return residuals, J
