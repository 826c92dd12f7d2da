"""The normal equations against differences of the cost that they belong to."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.solvers.bundle_equations import Problem, System
from endosfm3d_ros.sfm.solvers.bundle_model import Bundle, BundleConfig, Observations

POINTS, STEP = 12, 1e-6
BLIND = 1  # the view that sees nothing


@pytest.fixture(params=[False, True], ids=["camera known", "camera free"])
def problem(request):
    """(problem, a bundle far from its optimum): shuffled, some depths unknown, one view blind."""
    rng = np.random.default_rng(4)
    points = np.column_stack([rng.uniform(-0.3, 0.3, (POINTS, 2)), rng.uniform(0.8, 1.2, POINTS)])
    T = np.stack([
        se3.from_vectors(*rng.normal(0, 0.05, (2, 3))) for _ in range(4)
    ])  # fmt: skip
    view, point = np.meshgrid([0, 2, 3], np.arange(POINTS))
    some = rng.permutation(view.size)[:-5]
    view, point, count = view.ravel()[some], point.ravel()[some], len(some)
    depth = np.where(rng.random(count) < 0.5, rng.uniform(0.8, 1.2, count), np.nan)
    seen = Observations(
        view, point, rng.uniform(100, 500, (count, 2)), depth, rng.uniform(20, 60, count), 0.2
    )
    prior = (np.array([np.log(480.0), 300, 250]), np.array([0.3, 20, 20]))
    given = prior if request.param else None
    start = Bundle(T, points, np.array([500.0, 320.0, 256.0]))
    return Problem(seen, np.arange(4) == 0, given, BundleConfig()), start


def moved(problem: Problem, bundle: Bundle, step: np.ndarray) -> System:
    """After a step of cameras and points in one vector."""
    points = step[problem.size :].reshape(3, -1)
    return problem.linearise(problem.moved(bundle, step[: problem.size], points))


def differences(problem: Problem, bundle: Bundle, value: str) -> np.ndarray:
    """Central differences of the cost or of the residuals, by every unknown."""
    count = problem.size + 3 * POINTS
    steps = STEP * np.eye(count)
    return np.stack([
        (np.asarray(getattr(moved(problem, bundle, s), value))
         - getattr(moved(problem, bundle, -s), value)) / (2 * STEP)
        for s in steps
    ])  # fmt: skip


def test_every_gradient_is_that_of_the_cost(problem):
    problem, bundle = problem
    system = problem.linearise(bundle)
    gradient = np.concatenate([system.a, system.p.ravel()])
    numeric = differences(problem, bundle, "cost")
    assert np.abs(gradient).max() > 1
    assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_every_block_is_the_product_of_the_slopes(problem):
    problem, bundle = problem
    system = problem.linearise(bundle)
    slopes = differences(problem, bundle, "residuals").reshape(problem.size + 3 * POINTS, -1)
    weights, _ = problem._weights(system.residuals, np.ones_like(system.residuals))
    product = (slopes * weights.ravel()) @ slopes.T
    cameras, n = problem.size, np.arange(POINTS)
    if problem.lens_prior is not None:  # it has no residual of its own
        product[cameras - 3 : cameras, cameras - 3 : cameras] += np.diag(
            problem.lens_prior[1] ** -2.0
        )
    P = np.zeros((3, POINTS, 3, POINTS))
    P[:, n, :, n] = system.P.transpose(2, 0, 1)
    whole = np.block([
        [system.A, system.W.reshape(cameras, -1)],
        [system.W.reshape(cameras, -1).T, P.reshape(3 * POINTS, -1)],
    ])  # fmt: skip
    assert whole == pytest.approx(product, rel=1e-4, abs=1e-4)


def test_a_step_solves_the_whole_system(problem):
    """Points eliminated and put back, against everything at once."""
    problem, bundle = problem
    system, n = problem.linearise(bundle), np.arange(POINTS)
    cameras, points = system.step(1e-3)
    P = system.P.transpose(2, 0, 1)
    P = P + 1e-3 * np.trace(P, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    blocks = np.zeros((3, POINTS, 3, POINTS))
    blocks[:, n, :, n] = P
    W = system.W.reshape(problem.size, -1)
    A = system.A + 1e-3 * np.diag(np.diag(system.A)) + 1e-12 * np.eye(problem.size)
    whole = np.block([[A, W], [W.T, blocks.reshape(3 * POINTS, -1)]])
    answer = -np.linalg.solve(whole, np.concatenate([system.a, system.p.ravel()]))
    assert np.concatenate([cameras, points.ravel()]) == pytest.approx(answer, rel=1e-4, abs=1e-8)
    assert not cameras[6 * (BLIND - 1) : 6 * BLIND].any()
