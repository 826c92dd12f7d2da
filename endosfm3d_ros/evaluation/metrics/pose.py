"""Camera trajectories against a reference: the measures of this package, and the published ones.

All poses are camera-to-world. An error over the whole trajectory (ATE) and the 5-frame error of
the self-supervised literature differ by orders of magnitude and must never share a table column.

The published code of EndoSfM3D accumulates A <- A T with T the motion from a frame to the next
one, x_next = T x. The camera-to-world pose of the next frame is W inv(T): without the inverse the
result is no trajectory of the camera, and perfect motions score a large error against true
poses. `released_accumulation` and `released_errors` repeat it for comparison with its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3

SNIPPET = 5  # frames (Zhou et al. 2017, section 4.3)


@dataclass(frozen=True)
class Similarity:
    """y = scale R x + translation."""

    scale: float
    R: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points mapped."""
        return self.scale * points @ self.R.T + self.translation


def umeyama(source: np.ndarray, target: np.ndarray, with_scale: bool) -> Similarity:
    """The similarity, or rigid motion, that brings source onto target (Umeyama 1991, eq. 40-43).

    Args:
        source: (N, 3).
        target: (N, 3).
        with_scale: False keeps the scale at 1, as does a source without extent.
    """
    mean_x, mean_y = source.mean(axis=0), target.mean(axis=0)
    x, y = source - mean_x, target - mean_y
    U, D, Vt = np.linalg.svd(y.T @ x / len(x))
    S = np.diag([1, 1, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    R = U @ S @ Vt
    variance = np.square(x).sum() / len(x)
    scale = float(D @ np.diag(S) / variance) if with_scale and variance > 0 else 1.0
    return Similarity(scale, R, mean_y - scale * R @ mean_x)


def position_errors(estimate: np.ndarray, reference: np.ndarray, with_scale: bool) -> np.ndarray:
    """(N,) distances after the best alignment; their RMS is the ATE (Sturm et al. 2012, eq. 5).

    Args:
        estimate: (N, 3) camera centres.
        reference: (N, 3).
        with_scale: align by SIM(3), for estimates without a scale; otherwise by SE(3).
    """
    aligned = umeyama(estimate, reference, with_scale).apply(estimate)
    return np.linalg.norm(aligned - reference, axis=1)


def rotation_errors(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(N,) degrees between orientations after the best common rotation of the world.

    Args:
        estimate: (N, 4, 4) camera-to-world.
        reference: (N, 4, 4).
    """
    estimated, true = (Rotation.from_matrix(poses[:, :3, :3]) for poses in (estimate, reference))
    world = (true * estimated.inv()).mean()
    return np.degrees((true.inv() * world * estimated).magnitude())


class RelativeErrors(NamedTuple):
    """Of M steps between neighbouring frames (Sturm et al. 2012, eq. 1)."""

    translation: np.ndarray  # (M,) in the unit of the poses
    degrees: np.ndarray  # (M,)


def relative_errors(
    estimate: np.ndarray, reference: np.ndarray, numbers: np.ndarray | None = None
) -> RelativeErrors:
    """What the step from each frame to the next one is off by.

    Args:
        estimate: (N, 4, 4).
        reference: (N, 4, 4).
        numbers: (N,) frame numbers; steps over a missing frame are left out. None: 0 .. N - 1.
    """
    numbers = np.arange(len(estimate)) if numbers is None else np.asarray(numbers)
    steps = np.flatnonzero(np.diff(numbers) == 1)
    estimated, true = (
        np.linalg.inv(poses[steps]) @ poses[steps + 1] for poses in (estimate, reference)
    )
    error = np.linalg.inv(true) @ estimated
    angle = Rotation.from_matrix(error[:, :3, :3]).magnitude() if len(error) else np.empty(0)
    return RelativeErrors(np.linalg.norm(error[:, :3, 3], axis=1), np.degrees(angle))


def snippet_errors(
    estimate: np.ndarray, reference: np.ndarray, numbers: np.ndarray | None = None
) -> np.ndarray:
    """Error of every window of 5 frames, in the unit of the reference (Zhou et al. 2017).

    Both windows are expressed in their first camera; the estimate is scaled by least squares;
    the error is the norm of all remaining differences over 5 (not the RMS, and not comparable
    with a whole trajectory's).

    Args:
        estimate: (N, 4, 4).
        reference: (N, 4, 4).
        numbers: (N,) frame numbers; windows with a missing frame are left out.
    """
    numbers = np.arange(len(estimate)) if numbers is None else np.asarray(numbers)
    span = SNIPPET - 1
    starts = np.flatnonzero(numbers[span:] - numbers[:-span] == span)
    return np.array([
        _snippet_error(estimate[start : start + SNIPPET], reference[start : start + SNIPPET])
        for start in starts
    ])  # fmt: skip


def _snippet_error(estimate: np.ndarray, reference: np.ndarray) -> float:
    x, y = ((se3.inverse(poses[0]) @ poses)[:, :3, 3] for poses in (estimate, reference))
    energy = np.square(x).sum()
    scale = (x * y).sum() / energy if energy > 0 else 1.0
    return float(np.linalg.norm(scale * x - y)) / SNIPPET


def path_length(positions: np.ndarray) -> float:
    """Sum of the steps between (N, 3) positions."""
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())


def accumulated(motions: Iterable[np.ndarray]) -> np.ndarray:
    """(N + 1, 4, 4) camera-to-world W <- W inv(T) from N motions x_next = T x; starts at I."""
    return _chained(lambda W, T: W @ np.linalg.inv(T), motions)


# The published protocol


def released_accumulation(motions: Iterable[np.ndarray]) -> np.ndarray:
    """(N, 4, 4) A <- A T from N motions, without the first pose, as the published code writes."""
    return _chained(lambda A, T: A @ T, motions)[1:]


def released_plot_accumulation(motions: Iterable[np.ndarray]) -> np.ndarray:
    """(N + 1, 4, 4) A <- T A, which the published code uses for its plots."""
    return _chained(lambda A, T: T @ A, motions)


class ReleasedErrors(NamedTuple):
    """What the published evaluation prints, in its order."""

    ate_rmse: float
    ate_std: float
    rotation_mean: float  # degrees per frame
    rotation_std: float


def released_errors(estimate: np.ndarray, reference: np.ndarray) -> ReleasedErrors:
    """SIM(3)-aligned position error, and rotation error from frame to frame.

    Args:
        estimate: (N, 4, 4), as `released_accumulation` makes them.
        reference: (N, 4, 4) matched by position in the file.
    """
    error = position_errors(estimate[:, :3, 3], reference[:, :3, 3], with_scale=True)
    degrees = relative_errors(estimate, reference).degrees
    return ReleasedErrors(
        ate_rmse=float(np.sqrt(np.mean(error**2))),
        ate_std=float(error.std()),
        rotation_mean=float(degrees.mean()),
        rotation_std=float(degrees.std()),
    )


def _chained(
    step: Callable[[np.ndarray, np.ndarray], np.ndarray], motions: Iterable[np.ndarray]
) -> np.ndarray:
    poses = [np.eye(4)]
    for T in motions:
        poses.append(step(poses[-1], np.asarray(T, np.float64)))
    return np.stack(poses)
