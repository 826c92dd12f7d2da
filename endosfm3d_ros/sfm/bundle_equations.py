"""The normal equations of bundle adjustment, with the points eliminated.

Levenberg-Marquardt on the reduced camera system (Triggs et al. 2000, section 6): every point is
seen by few views, so the points go first and what is left is a small dense system.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.bundle_model import Bundle, BundleConfig, Observations

POSE, POINT, LENS = 6, 3, 3  # unknowns of a view, a point, the camera (log f, cx, cy)


class Problem:
    """The observations, and what may move."""

    def __init__(
        self,
        seen: Observations,
        fixed: np.ndarray,
        lens_prior: tuple[np.ndarray, np.ndarray] | None,
        config: BundleConfig,
    ) -> None:
        order = np.argsort(seen.point, kind="stable")  # sums per point are then sums of runs
        self.seen = seen = _sorted(seen, order)
        self.first = np.flatnonzero(np.diff(seen.point, prepend=-1))  # row of every point
        self.config, self.lens_prior = config, lens_prior
        self.free_views = np.flatnonzero(~fixed)
        self.cameras = POSE * len(self.free_views)
        self.size = self.cameras + (LENS if lens_prior is not None else 0)
        slot = np.full(len(fixed), -1)
        slot[self.free_views] = np.arange(len(self.free_views))
        self.slot = slot[seen.view]  # of every observation: which free view, -1 none
        self.rows = [np.flatnonzero(self.slot == i) for i in range(len(self.free_views))]

    def moved(self, bundle: Bundle, step: np.ndarray, points: np.ndarray) -> Bundle:
        """The bundle after a step of cameras (size,) and points (N, 3)."""
        T = bundle.T_view_world.copy()
        for i, view in enumerate(self.free_views):
            motion = step[POSE * i : POSE * (i + 1)]
            T[view] = se3.from_vectors(motion[3:], motion[:3]) @ T[view]
        lens = bundle.lens
        if self.lens_prior is not None:
            change = np.clip(step[self.cameras], -0.5, 0.5), *step[self.cameras + 1 :]
            lens = np.array([lens[0] * np.exp(change[0]), lens[1] + change[1], lens[2] + change[2]])
        return replace(bundle, T_view_world=T, points=bundle.points + points, lens=lens)

    def linearise(self, bundle: Bundle) -> System:
        """Normal equations at a bundle, points apart from cameras."""
        seen = self.seen
        T = bundle.T_view_world[seen.view]
        local = np.einsum("mij,mj->mi", T[:, :3, :3], bundle.points[seen.point]) + T[:, :3, 3]
        residuals, by_local, by_lens = self._residuals(local, bundle.lens)
        size = np.stack([np.hypot(residuals[:, 0], residuals[:, 1]), np.abs(residuals[:, 2])], 1)
        weights, robust = self.config.kernel(size)
        weights = weights[:, [0, 0, 1]]
        behind = local[:, 2] <= self.config.min_depth
        cost = np.inf if behind.any() else float(robust.sum())
        prior = self._lens_prior(bundle.lens)
        cost += float(prior @ prior) / 2
        # small motion on the left of a view: d local = translation + rotation x local
        x, y, z = local.T
        zero = np.zeros_like(x)
        cross = np.stack([
            np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1),
        ], 1)  # fmt: skip
        by_pose = np.concatenate([by_local, by_local @ cross], axis=2)
        by_point = by_local @ T[:, :3, :3]
        return System(self, len(bundle.points), residuals, weights, by_pose, by_point, by_lens,
                       prior, cost)  # fmt: skip

    def _residuals(
        self, local: np.ndarray, lens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M, 3) whitened residuals u, v, log z; (M, 3, 3) by local point; (M, 3, 3) by lens."""
        seen = self.seen
        f, cx, cy = lens
        x, y, z = local[:, 0], local[:, 1], np.maximum(local[:, 2], self.config.min_depth)
        known = np.isfinite(seen.depth)
        measured = np.where(known, seen.depth, 1.0)
        sp, sd = seen.pixel_sigma, seen.depth_sigma  # (M,) each, see `_sorted`
        u, v = f * x / z, f * y / z
        residuals = np.stack([
            (u + cx - seen.pixels[:, 0]) / sp,
            (v + cy - seen.pixels[:, 1]) / sp,
            np.where(known, np.log(z / measured), 0) / sd,
        ], 1)  # fmt: skip
        zero, one = np.zeros_like(x), np.ones_like(x)
        by_local = np.stack([
            np.stack([f / z, zero, -u / z], 1) / sp[:, None],
            np.stack([zero, f / z, -v / z], 1) / sp[:, None],
            np.stack([zero, zero, known / z / sd], 1),
        ], 1)  # fmt: skip
        by_lens = np.stack([
            np.stack([u, one, zero], 1) / sp[:, None],
            np.stack([v, zero, one], 1) / sp[:, None],
            np.zeros((len(x), 3)),
        ], 1)  # fmt: skip
        return residuals, by_local, by_lens

    def _lens_prior(self, lens: np.ndarray) -> np.ndarray:
        """(3,) whitened distance of the camera from its prior; zero where it is fixed."""
        if self.lens_prior is None:
            return np.zeros(LENS)
        mean, sigma = self.lens_prior
        return (np.array([np.log(lens[0]), lens[1], lens[2]]) - mean) / sigma

    def finished(self, bundle: Bundle, system: System) -> Bundle:
        """With cost and covariances."""
        covariance = system.covariance()
        spread = 1.4826 * np.median(np.abs(system.residuals[:, :2]))  # robust sigma
        variance = max(float(spread) ** 2, 1e-6)
        poses = np.zeros((len(bundle.T_view_world), POSE, POSE))
        for i, view in enumerate(self.free_views):
            block = slice(POSE * i, POSE * (i + 1))
            poses[view] = covariance[block, block] * variance
        lens = np.zeros((LENS, LENS))
        if self.lens_prior is not None:
            scale = np.diag([bundle.lens[0], 1, 1])  # log f to f
            block = slice(self.cameras, None)
            lens = scale @ covariance[block, block] @ scale * max(variance, 1.0)
        return replace(
            bundle, cost=system.cost, variance=variance, lens_covariance=lens,
            pose_covariance=poses,
        )  # fmt: skip


def _sorted(seen: Observations, order: np.ndarray) -> Observations:
    pixel_sigma, depth_sigma = (
        np.broadcast_to(sigma, seen.point.shape)[order]
        for sigma in (seen.pixel_sigma, seen.depth_sigma)
    )
    return Observations(
        seen.view[order], seen.point[order], seen.pixels[order], seen.depth[order],
        pixel_sigma, depth_sigma,
    )  # fmt: skip


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(M, i, j) sums over the three residuals of (M, 3, i) and (M, 3, j)."""
    return a.transpose(0, 2, 1) @ b


class System:
    """Normal equations  [A W; W' P] [cameras; points] = -[a; p]  with P block diagonal."""

    def __init__(
        self,
        problem: Problem,
        points: int,
        residuals: np.ndarray,
        weights: np.ndarray,
        by_pose: np.ndarray,
        by_point: np.ndarray,
        by_lens: np.ndarray,
        prior: np.ndarray,
        cost: float,
    ) -> None:
        self.cost, self.residuals = cost, residuals
        index, first, size = problem.seen.point, problem.first, problem.size
        weighted = by_point * weights[..., None]
        self.P = np.add.reduceat(_products(weighted, by_point), first)
        self.p = np.add.reduceat((weighted * residuals[..., None]).sum(axis=1), first)
        self.A = np.zeros((size, size))
        self.a = np.zeros(size)
        self.W = np.zeros((points, size, POINT))
        weighted = by_pose * weights[..., None]
        mixed = _products(weighted, by_point)
        for i, rows in enumerate(problem.rows):
            block = slice(POSE * i, POSE * (i + 1))
            flat = weighted[rows].reshape(-1, POSE)
            self.A[block, block] = flat.T @ by_pose[rows].reshape(-1, POSE)
            self.a[block] = flat.T @ residuals[rows].ravel()
            self.W[index[rows], block] = mixed[rows]  # a view sees a point once
        if size > problem.cameras:
            self._add_lens(problem, weights, by_pose, by_point, by_lens, prior)

    def _add_lens(
        self,
        problem: Problem,
        weights: np.ndarray,
        by_pose: np.ndarray,
        by_point: np.ndarray,
        by_lens: np.ndarray,
        prior: np.ndarray,
    ) -> None:
        """Rows and columns of the camera's own unknowns, which every observation shares."""
        weighted = by_lens * weights[..., None]
        lens = slice(problem.cameras, problem.cameras + LENS)
        stiffness = 1 / problem.lens_prior[1]
        flat = weighted.reshape(-1, LENS)
        self.A[lens, lens] = flat.T @ by_lens.reshape(-1, LENS) + np.diag(stiffness**2)
        self.a[lens] = flat.T @ self.residuals.ravel() + prior * stiffness
        for i, rows in enumerate(problem.rows):
            block = slice(POSE * i, POSE * (i + 1))
            shared = by_pose[rows].reshape(-1, POSE).T @ weighted[rows].reshape(-1, LENS)
            self.A[block, lens], self.A[lens, block] = shared, shared.T
        self.W[:, lens] = np.add.reduceat(_products(weighted, by_point), problem.first)

    def _reduced(self, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Damped inverse point blocks, W P^-1 as (size, 3 N), and the reduced matrix."""
        eye = np.eye(POINT)
        scale = np.trace(self.P, axis1=1, axis2=2)[:, None, None] * eye / POINT
        inverse = np.linalg.inv(self.P + (damping + 1e-9) * scale + 1e-12 * eye)
        size = len(self.A)
        Wt = self.W.transpose(1, 0, 2).reshape(size, -1)
        WP = (self.W @ inverse).transpose(1, 0, 2).reshape(size, -1)
        A = self.A + damping * np.diag(np.diag(self.A))
        return inverse, WP, A - WP @ Wt.T + 1e-12 * np.eye(size)

    def step(self, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the cameras (size,) and of the points (N, 3)."""
        inverse, WP, S = self._reduced(damping)
        cameras = np.linalg.solve(S, WP @ self.p.ravel() - self.a)
        back = self.p + np.einsum("ncj,c->nj", self.W, cameras)
        return cameras, -np.einsum("nij,nj->ni", inverse, back)

    def covariance(self) -> np.ndarray:
        """(size, size) of the cameras with the points integrated out."""
        return np.linalg.pinv(self._reduced(0.0)[2], rcond=1e-12, hermitian=True)
