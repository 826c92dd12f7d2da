"""Shape and motion from two views of points alone: no depth, no network.

The essential matrix (Nister 2004, inside MAGSAC++, Barath et al. 2020) explains two views of a
scene with relief. A plane, or a camera that only turns, is explained as well by a homography, and
then no essential matrix can be trusted: such pairs are refused. So are pairs whose rays are too
close to parallel to tell depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry import se3

SINGULAR = 1e-12  # determinant of a homography whose last entry is 1


@dataclass(frozen=True)
class TwoViewConfig:
    """Lengths in px of the tracking image."""

    threshold: float = 1.0  # px from the epipolar line; MAGSAC decides below it
    confidence: float = 0.999
    trials: int = 2000
    points: int = 50  # that agree
    share: float = 0.7  # of the points that agree
    in_front: float = 0.9  # of those that agree lie before both cameras
    homography: float = 0.45  # share of the score above which the scene counts as flat
    homography_outlier: float = 5.99  # squared errors in sigmas: 95 % with two degrees of freedom
    epipolar_outlier: float = 3.84  # with one
    sigma: float = 0.7  # px, of a place
    angle: float = 0.026  # rad between the rays of the median point: 1.5 degrees


@dataclass(frozen=True)
class TwoView:
    """What two views say; the distance between the cameras is the unit."""

    T_second_first: np.ndarray  # 4x4
    points: np.ndarray  # (N, 3) in the first camera, NaN where they do not agree
    angle: float  # rad between the rays of the median point


def two_view(
    first: np.ndarray, second: np.ndarray, K: np.ndarray, config: TwoViewConfig | None = None
) -> TwoView | None:
    """Motion and shape, or None where the pair cannot tell.

    Args:
        first: (N, 2) px without lens distortion.
        second: (N, 2) px of the same points.
        K: 3x3 of both.
        config: settings.
    """
    c = config or TwoViewConfig()
    if len(first) < c.points:
        return None
    # 1 both explanations
    found = _essential(first, second, K, c)
    H, _ = cv2.findHomography(first, second, cv2.USAC_MAGSAC, 3 * c.sigma)
    if found is None:
        return None
    E, agree = found
    # 2 a plane or a turn explains as much
    if H is not None and _homography_share(E, H, first, second, K, c) > c.homography:
        return None
    # 3 the motion with the points before both cameras
    mask = agree.astype(np.uint8)[:, None]
    front, R, t, _ = cv2.recoverPose(E, first, second, K, mask=mask)
    if front < max(c.points, c.in_front * agree.sum()):
        return None
    # 4 the shape, where rays cross at a clear angle
    T = se3.from_rotation(R, t[:, 0])
    points = _triangulated(T, first, second, K)
    points[(mask[:, 0] == 0) | ~(points[:, 2] > 0)] = np.nan
    angle = _middle_angle(T, points)
    return TwoView(T, points, angle) if angle > c.angle else None


def _essential(
    first: np.ndarray, second: np.ndarray, K: np.ndarray, config: TwoViewConfig
) -> tuple[np.ndarray, np.ndarray] | None:
    """(E, (N,) bool: agree), or None where too few agree."""
    cv2.setRNGSeed(0)  # the same video gives the same start
    E, mask = cv2.findEssentialMat(
        first, second, K, cv2.USAC_MAGSAC, config.confidence, config.threshold, config.trials
    )
    if E is None or E.shape != (3, 3):
        return None
    agree = mask[:, 0] > 0
    enough = agree.sum() >= max(config.points, config.share * len(first))
    return (E, agree) if enough else None


def _homography_share(
    E: np.ndarray,
    H: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    K: np.ndarray,
    config: TwoViewConfig,
) -> float:
    """Share of the homography in both scores (Mur-Artal et al. 2015, section IV)."""
    inverse = np.linalg.inv(K)
    F = inverse.T @ E @ inverse
    if not (
        np.isfinite(H).all() and abs(np.linalg.det(H)) > SINGULAR
    ):  # no map of one image onto another
        return 0.0
    flat = sum(
        _score(_transfer(M, a, b), config.homography_outlier, config)
        for M, a, b in ((H, first, second), (np.linalg.inv(H), second, first))
    )
    deep = sum(
        _score(_epipolar(M, a, b), config.epipolar_outlier, config)
        for M, a, b in ((F, first, second), (F.T, second, first))
    )
    return flat / max(flat + deep, 1e-12)


def _score(square: np.ndarray, outlier: float, config: TwoViewConfig) -> float:
    whitened = square / config.sigma**2
    return float(np.where(whitened < outlier, config.homography_outlier - whitened, 0).sum())


def _transfer(H: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) squared px between H a and b."""
    there = cv2.perspectiveTransform(a[None].astype(np.float64), H)[0]
    return np.square(there - b).sum(axis=1)


def _epipolar(F: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) squared px of b from the epipolar line of a."""
    lines = np.column_stack([a, np.ones(len(a))]) @ F.T
    distance = (lines[:, :2] * b).sum(axis=1) + lines[:, 2]
    return distance**2 / np.maximum(np.square(lines[:, :2]).sum(axis=1), 1e-12)


def _triangulated(
    T: np.ndarray, first: np.ndarray, second: np.ndarray, K: np.ndarray
) -> np.ndarray:
    """(N, 3) in the first camera."""
    P = K @ np.eye(3, 4), K @ T[:3]
    X = cv2.triangulatePoints(*P, first.T.astype(np.float64), second.T.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (X[:3] / X[3]).T


def _middle_angle(T: np.ndarray, points: np.ndarray) -> float:
    """Rad between the rays from both cameras to the median point."""
    known = points[np.isfinite(points[:, 0])]
    if len(known) == 0:
        return 0.0
    other = known - se3.inverse(T)[:3, 3]
    cosine = (known * other).sum(axis=1) / (
        np.linalg.norm(known, axis=1) * np.linalg.norm(other, axis=1)
    )
    return float(np.median(np.arccos(np.clip(cosine, -1, 1))))
