"""How the tissue in view has changed its shape since a key frame: what no rigid motion explains.

Displacements are smooth fields over the view, quadratic in the tangents (x / z, y / z), of which
the rigid ones are left out. Pose and field are solved together, so that the field says nothing
about the camera's motion, nor the pose about the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.sampling import depth_along
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import Located, View

RIGID, MODES = 6, 12  # of 18 quadratic fields 6 are rigid, nearly or quite
GRID = 15  # places to a side that make the modes independent of each other
TANGENT_STEP = 0.02  # views are rounded to it, so that a focal length that settles keeps its modes


@dataclass(frozen=True)
class DeformationConfig:
    """Lengths as shares of the points' distance."""

    min_points: int = 60
    pixel_sigma: float = 0.3  # px
    depth_sigma: float = 0.005
    amplitude: float = 0.02  # root mean square of a mode over the view, before it is looked at
    outlier: float = 3.0  # standard deviations beyond which a point counts ever less
    rounds: int = 4


def deformation(
    keyframe: Keyframe, located: Located, view: View, config: DeformationConfig
) -> np.ndarray | None:
    """(12,) amplitudes since the key frame, root mean squares over the view as shares of its
    distance; None with too few points.
    """
    if len(located.index) < config.min_points:
        return None
    points = se3.transform(located.T_camera_keyframe, keyframe.points[located.index])
    good = points[:, 2] > 0
    points, rays = points[good], view.camera.unproject(located.pixels[good])
    if len(points) < config.min_points:
        return None
    distance = float(np.median(points[:, 2]))
    fields = _fields(points / distance, rays, _modes(*_half_view(view.camera)))
    parts = [_pixel_equations(points, rays, distance, fields, view.camera.fx / config.pixel_sigma)]
    if view.depth is not None:
        parts.append(_depth_equations(points, rays, distance, fields, view, config.depth_sigma))
    return _solved(parts, config)


def _half_view(camera: PinholeCamera) -> tuple[float, float]:
    """Tangents from the middle of the picture to its sides, rounded."""
    half = camera.width / (2 * camera.fx), camera.height / (2 * camera.fy)
    return tuple(max(TANGENT_STEP, round(t / TANGENT_STEP) * TANGENT_STEP) for t in half)


@lru_cache(maxsize=64)
def _modes(across: float, down: float) -> np.ndarray:
    """(18, 12) coefficients of independent fields of root mean square 1 that are not rigid."""
    u, v = np.meshgrid(np.linspace(-across, across, GRID), np.linspace(-down, down, GRID))
    rays = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1)
    fields = _quadratic(rays).reshape(3 * u.size, -1)
    rigid, _ = np.linalg.qr(_rigid(rays).reshape(3 * u.size, -1))
    rest = fields - rigid @ (rigid.T @ fields)
    shapes = np.linalg.svd(rest, full_matrices=False)[0][:, :MODES] * np.sqrt(u.size)
    return np.linalg.lstsq(fields, shapes, rcond=None)[0]


def _quadratic(rays: np.ndarray) -> np.ndarray:
    """(N, 3, 18) displacements by coefficient: 1, a, b, aa, ab, bb along x, y and z."""
    a, b = rays[:, 0], rays[:, 1]
    terms = np.stack([np.ones_like(a), a, b, a * a, a * b, b * b], axis=1)
    return np.einsum("nj,kc->nkcj", terms, np.eye(3)).reshape(len(a), 3, -1)


def _rigid(points: np.ndarray) -> np.ndarray:
    """(N, 3, 6) displacements by a small translation and rotation."""
    x, y, z = points.T
    zero = np.zeros_like(x)
    turns = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=1).reshape(-1, 3, 3)
    return np.concatenate([np.broadcast_to(np.eye(3), turns.shape), turns], axis=2)


def _fields(points: np.ndarray, rays: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """(N, 3, 18) rigid displacements, then modes; for points at distance 1."""
    return np.concatenate([_rigid(points), _quadratic(rays) @ modes], axis=2)


def _pixel_equations(
    points: np.ndarray, rays: np.ndarray, distance: float, fields: np.ndarray, focal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobian (N, 2, 18) and residuals (N, 2), whitened by the focal length over sigma."""
    seen = points[:, :2] / points[:, 2:]
    J = fields[:, :2] - seen[:, :, None] * fields[:, 2:]
    return J * (focal * distance / points[:, 2])[:, None, None], focal * (rays[:, :2] - seen)


def _depth_equations(
    points: np.ndarray,
    rays: np.ndarray,
    distance: float,
    fields: np.ndarray,
    view: View,
    sigma: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobian (N, 1, 18) and residuals (N, 1) of log depth; zero where none was measured."""
    measured = depth_along(rays, view.depth)
    known = np.isfinite(measured)
    ratio = np.where(known, measured, points[:, 2]) / points[:, 2]
    share = np.where(known, distance / points[:, 2], 0.0) / sigma
    return fields[:, 2:] * share[:, None, None], np.log(ratio)[:, None] / sigma


def _solved(
    parts: list[tuple[np.ndarray, np.ndarray]], config: DeformationConfig
) -> np.ndarray | None:
    """(12,) amplitudes by re-weighted least squares."""
    J = np.concatenate([jacobian for jacobian, _ in parts], axis=1)
    residuals = np.concatenate([r for _, r in parts], axis=1)
    prior = np.diag([1e-6] * RIGID + [config.amplitude**-2] * MODES)
    flat, rows = J.reshape(-1, RIGID + MODES), J.shape[1]
    weights = np.ones(len(J))
    for _ in range(config.rounds):
        weighted = flat * np.repeat(weights, rows)[:, None]
        solution = np.linalg.solve(weighted.T @ flat + prior, weighted.T @ residuals.ravel())
        square = np.square(residuals - J @ solution).sum(axis=1)
        weights = 1 / (1 + square / config.outlier**2)
    amplitudes = solution[RIGID:]
    return amplitudes if np.isfinite(amplitudes).all() else None
