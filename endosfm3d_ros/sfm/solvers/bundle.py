"""Bundle adjustment of a window of views: poses, points and, where asked for, the camera."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.runtime.thread_limits import one_blas_thread
from endosfm3d_ros.sfm.solvers.bundle_equations import Problem
from endosfm3d_ros.sfm.solvers.bundle_model import Bundle, BundleConfig, Observations


def adjust(
    start: Bundle,
    seen: Observations,
    *,
    fixed: np.ndarray,
    lens_prior: tuple[np.ndarray, np.ndarray] | None = None,
    config: BundleConfig | None = None,
) -> Bundle:
    """The bundle that explains the observations best, near the start.

    Args:
        start: first guess.
        seen: observations; views and points index the start's arrays; every point is seen, and
            by no view twice.
        fixed: (V,) bool, views that stay; at least one must.
        lens_prior: (mean, sigma), each (3,) of log f, cx, cy; None keeps the camera as it is.
        config: settings.

    Returns:
        The solution with its covariances, which grow with the residuals that remain.
    """
    with one_blas_thread():  # the matrices are small
        return _adjust(start, seen, fixed, lens_prior, config or BundleConfig())


def _adjust(
    start: Bundle,
    seen: Observations,
    fixed: np.ndarray,
    lens_prior: tuple[np.ndarray, np.ndarray] | None,
    config: BundleConfig,
) -> Bundle:
    problem = Problem(seen, fixed, lens_prior, config)
    best, damping = start, config.damping
    system = problem.linearise(best)
    cost = system.cost
    for _ in range(config.iterations):
        candidate = problem.candidate(best, system, damping)
        trial = None if candidate is None else problem.linearise(candidate)
        if trial is None or not trial.cost < cost:
            damping *= 10
            if damping > 1e6:
                break
            continue
        fall = (cost - trial.cost) / max(cost, 1e-12)
        best, system, cost, damping = candidate, trial, trial.cost, max(damping / 5, 1e-9)
        if fall < config.tolerance:
            break
    return problem.finished(best, system)
