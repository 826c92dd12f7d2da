"""The normal equations of bundle adjustment, with the points eliminated.

Levenberg-Marquardt on the reduced camera system (Triggs et al. 2000, section 6): every point is
seen by few views, so the points go first and what is left is a small dense system. Observations
and points are the last axis of every array, so that all sums run along memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.solvers.bundle_model import Bundle, BundleConfig, Observations

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
        self.seen = seen = _sorted(seen, np.argsort(seen.view, kind="stable"))
        self.config, self.lens_prior = config, lens_prior
        self.free_views = np.flatnonzero(~fixed)
        self.cameras = POSE * len(self.free_views)
        self.size = self.cameras + (LENS if lens_prior is not None else 0)
        bounds = np.searchsorted(seen.view, np.arange(len(fixed) + 1))
        self._rows = [slice(*bounds[view : view + 2]) for view in self.free_views]
        self._by_point = np.argsort(seen.point, kind="stable")  # sums per point: sums of runs
        self._first = np.flatnonzero(np.diff(seen.point[self._by_point], prepend=-1))

    def candidate(self, bundle: Bundle, system: System, damping: float) -> Bundle | None:
        """The bundle after a damped step; None where the equations have no solution."""
        try:
            return self.moved(bundle, *system.step(damping))
        except np.linalg.LinAlgError:
            return None

    def moved(self, bundle: Bundle, step: np.ndarray, points: np.ndarray) -> Bundle:
        """The bundle after a step of cameras (size,) and points (3, N)."""
        T = bundle.T_view_world.copy()
        for i, view in enumerate(self.free_views):
            motion = step[POSE * i : POSE * (i + 1)]
            T[view] = se3.from_vectors(motion[3:], motion[:3]) @ T[view]
        lens = bundle.lens
        if self.lens_prior is not None:
            change = np.clip(step[self.cameras], -0.5, 0.5), *step[self.cameras + 1 :]
            lens = np.array([lens[0] * np.exp(change[0]), lens[1] + change[1], lens[2] + change[2]])
        return replace(bundle, T_view_world=T, points=bundle.points + points.T, lens=lens)

    def linearise(self, bundle: Bundle) -> System:
        """Normal equations at a bundle, points apart from cameras."""
        # 1 the points in the frames of their views
        T = np.take(bundle.T_view_world.transpose(1, 2, 0), self.seen.view, axis=2)
        R = T[:3, :3]
        points = np.take(bundle.points.T, self.seen.point, axis=1)
        local = np.einsum("ijm,jm->im", R, points) + T[:3, 3]
        # 2 what each observation says about its point there
        residuals, J, by_lens = self._residuals(local, bundle.lens)
        weights, cost = self._weights(residuals, local)
        weighted = weights[:, None] * J
        H = np.einsum("rim,rjm->ijm", weighted, J)
        g = np.einsum("rim,rm->im", weighted, residuals)
        # 3 and so about points, poses, and both
        HR = np.einsum("ijm,jkm->ikm", H, R)
        P = self._per_point(np.einsum("jim,jkm->ikm", R, HR))
        p = self._per_point(np.einsum("jim,jm->im", R, g))
        A, a = self._poses(H, g, local)
        W = self._mixed(HR, local, len(bundle.points))
        system = System(A, a, W, P, p, cost, residuals)
        # 4 and about the camera, that they share
        if self.lens_prior is not None:
            self._add_lens(system, by_lens * weights[:2, None], by_lens, J, R, local, bundle.lens)
        return system

    def _residuals(
        self, local: np.ndarray, lens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(3, M) whitened residuals u, v, log z; (3, 3, M) by local point; (2, 3, M) by lens."""
        seen, (f, cx, cy) = self.seen, lens
        inverse = 1 / np.maximum(local[2], self.config.min_depth)
        known = np.isfinite(seen.depth)
        per_pixel, per_depth = 1 / seen.pixel_sigma, known / seen.depth_sigma
        u, v = f * local[0] * inverse, f * local[1] * inverse
        ratio = inverse * np.where(known, seen.depth, 1.0)
        residuals = np.stack([
            (u + cx - seen.pixels[:, 0]) * per_pixel,
            (v + cy - seen.pixels[:, 1]) * per_pixel,
            -np.log(ratio) * per_depth,
        ])  # fmt: skip
        J = np.zeros((3, POINT, len(inverse)))
        J[0, 0] = J[1, 1] = f * inverse * per_pixel
        J[0, 2], J[1, 2] = -u * inverse * per_pixel, -v * inverse * per_pixel
        J[2, 2] = inverse * per_depth
        by_lens = np.zeros((2, LENS, len(inverse)))
        by_lens[0, 0], by_lens[1, 0] = u * per_pixel, v * per_pixel
        by_lens[0, 1] = by_lens[1, 2] = per_pixel
        return residuals, J, by_lens

    def _weights(self, residuals: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, float]:
        """(3, M) weights, the same for both coordinates of a pixel; the robust cost."""
        size = np.stack([np.hypot(residuals[0], residuals[1]), np.abs(residuals[2])])
        weights, robust = self.config.kernel(size)
        behind = local[2] <= self.config.min_depth
        return weights[[0, 0, 1]], np.inf if behind.any() else float(robust.sum())

    def _per_point(self, values: np.ndarray) -> np.ndarray:
        """(..., N) sums of (..., M)."""
        return np.add.reduceat(np.take(values, self._by_point, axis=-1), self._first, axis=-1)

    def _poses(self, H: np.ndarray, g: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, ...]:
        """(size, size) and (size,) of small motions on the left: translation + rotation x local."""
        A, a = np.zeros((self.size, self.size)), np.zeros(self.size)
        turned = _cross(local, H)
        blocks = H, turned, _cross(local, turned.swapaxes(0, 1)), g, _cross(local, g)
        for i, rows in enumerate(self._rows):
            move, turn = slice(POSE * i, POSE * i + 3), slice(POSE * i + 3, POSE * (i + 1))
            A[move, move], A[turn, move], A[turn, turn], a[move], a[turn] = (
                block[..., rows].sum(axis=-1) for block in blocks
            )
            A[move, turn] = A[turn, move].T
        return A, a

    def _mixed(self, HR: np.ndarray, local: np.ndarray, points: int) -> np.ndarray:
        """(size, 3, N) of poses and points; a view sees a point once."""
        W = np.zeros((self.size, POINT, points))
        both = np.concatenate([HR, _cross(local, HR)])
        for i, rows in enumerate(self._rows):
            W[POSE * i : POSE * (i + 1), :, self.seen.point[rows]] = both[..., rows]
        return W

    def _add_lens(
        self,
        system: System,
        weighted: np.ndarray,
        by_lens: np.ndarray,
        J: np.ndarray,
        R: np.ndarray,
        local: np.ndarray,
        lens: np.ndarray,
    ) -> None:
        """Rows and columns of the camera's own unknowns, and its prior."""
        own, prior = slice(self.cameras, None), self._lens_prior(lens)
        stiffness = 1 / self.lens_prior[1]
        system.cost += float(prior @ prior) / 2
        system.A[own, own] = np.einsum("rim,rjm->ij", weighted, by_lens) + np.diag(stiffness**2)
        system.a[own] = np.einsum("rim,rm->i", weighted, system.residuals[:2]) + prior * stiffness
        mixed = np.einsum("rim,rjm->ijm", weighted, J[:2])
        system.W[own] = self._per_point(np.einsum("ijm,jkm->ikm", mixed, R))
        mixed = mixed.swapaxes(0, 1)
        both = np.concatenate([mixed, _cross(local, mixed)])
        for i, rows in enumerate(self._rows):
            block = slice(POSE * i, POSE * (i + 1))
            system.A[block, own] = both[..., rows].sum(axis=-1)
            system.A[own, block] = system.A[block, own].T

    def _lens_prior(self, lens: np.ndarray) -> np.ndarray:
        """(3,) whitened distance of the camera from its prior."""
        mean, sigma = self.lens_prior
        return (np.array([np.log(lens[0]), lens[1], lens[2]]) - mean) / sigma

    def finished(self, bundle: Bundle, system: System) -> Bundle:
        """With cost and covariances."""
        covariance = system.covariance()
        spread = 1.4826 * np.median(np.abs(system.residuals[:2]))  # robust sigma
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


def _cross(x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(3, ..., M) of the products x (3, M) times vectors along their first axis."""
    a, b, c = vectors
    return np.stack([x[1] * c - x[2] * b, x[2] * a - x[0] * c, x[0] * b - x[1] * a])


@dataclass
class System:
    """Normal equations  [A W; W' P] [cameras; points] = -[a; p]  with P block diagonal."""

    A: np.ndarray  # (size, size)
    a: np.ndarray  # (size,)
    W: np.ndarray  # (size, 3, N)
    P: np.ndarray  # (3, 3, N)
    p: np.ndarray  # (3, N)
    cost: float
    residuals: np.ndarray  # (3, M) whitened

    def _reduced(self, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Factors L (3, 3, N) of the damped inverse point blocks L L', W L, the reduced matrix."""
        eye = np.eye(POINT)
        P = self.P.transpose(2, 0, 1)
        scale = np.trace(P, axis1=1, axis2=2)[:, None, None] * eye / POINT
        inverse = np.linalg.inv(P + (damping + 1e-9) * scale + 1e-12 * eye)
        L = np.linalg.cholesky(inverse).transpose(1, 2, 0).copy()
        size = len(self.A)
        WL = np.einsum("cin,ijn->cjn", self.W, L).reshape(size, -1)
        A = self.A + damping * np.diag(np.diag(self.A))
        return L, WL, A - WL @ WL.T + 1e-12 * np.eye(size)

    def step(self, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the cameras (size,) and of the points (3, N)."""
        L, WL, S = self._reduced(damping)
        whitened = np.einsum("ijn,in->jn", L, self.p)
        cameras = np.linalg.solve(S, WL @ whitened.ravel() - self.a)
        whitened += (cameras @ WL).reshape(whitened.shape)
        return cameras, -np.einsum("ijn,jn->in", L, whitened)

    def covariance(self) -> np.ndarray:
        """(size, size) of the cameras with the points integrated out; infinite if unsolvable."""
        try:
            return np.linalg.pinv(self._reduced(0.0)[2], rcond=1e-12, hermitian=True)
        except np.linalg.LinAlgError:
            return np.diag(np.full(len(self.A), np.inf))
