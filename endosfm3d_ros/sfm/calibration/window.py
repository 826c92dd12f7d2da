"""The views that self-calibration adjusts together: tracks in, camera out.

Starts from nothing: the first views lie at one place before a flat scene, and bundle adjustment
unfolds them (Yu and Gallup 2014). Later views start from the points that are known by then. The
unit of length is free; the flat start keeps it near 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.calibration.point_tracks import Tracks
from endosfm3d_ros.sfm.solvers.bundle import adjust
from endosfm3d_ros.sfm.solvers.bundle_model import Bundle, BundleConfig, Observations
from endosfm3d_ros.sfm.solvers.pose_refinement import Correspondences, refine_pose


@dataclass(frozen=True)
class CalibrationWindowConfig:
    """Lengths in px refer to images of the tracking width."""

    views: int = 24
    flow: float = 0.015  # of the width: median motion that makes a new view, at first
    largest_flow: float = 0.06  # a full window is thinned, and takes views twice as far apart
    min_views: int = 3  # that see a point
    min_points: int = 30
    pixel_sigma: float = 0.5  # px, of a new view before all are adjusted
    depth_sigma: float = 1.0  # relative; of the flat start, it only keeps the unit of length
    warm_iterations: int = 8  # where all but the last view has been solved before
    bundle: BundleConfig = field(
        # what is left of residuals is a quarter of what points may slip in all
        default_factory=lambda: BundleConfig(iterations=25, damping=1e-5, cauchy=0.4)
    )


@dataclass(frozen=True)
class Structure:
    """What is known of the scene; frozen, so that threads can share it."""

    ids: np.ndarray  # (N,) int64, rising
    points: np.ndarray  # (N, 3) float64 in the frame of the window
    views: tuple[Tracks, ...]
    T_view_world: np.ndarray  # (V, 4, 4)
    lens: np.ndarray  # (3,) f, cx, cy in px of the tracking image

    @property
    def K(self) -> np.ndarray:
        """3x3 of the tracking image."""
        f, cx, cy = self.lens
        return np.array([[f, 0, cx], [0, f, cy], [0, 0, 1.0]])

    def known(self, tracks: Tracks, pixel_sigma: np.ndarray | float) -> Correspondences:
        """The points of an image that have a place in the scene; sigma of all, or of each track."""
        _, mine, theirs = np.intersect1d(
            self.ids, tracks.ids, assume_unique=True, return_indices=True
        )
        return Correspondences(
            self.points[mine], tracks.pixels[theirs].astype(float),
            np.full(len(mine), np.nan), self.K,
            np.broadcast_to(pixel_sigma, tracks.ids.shape)[theirs], 1.0,
        )  # fmt: skip


@dataclass(frozen=True)
class Solved:
    """A structure and what its camera is worth."""

    structure: Structure
    covariance: np.ndarray  # (3, 3) of the lens, px^2; of independent errors
    variance: float  # of a whitened residual


class CalibrationWindow:
    """Collects views, the more apart the more there are; `solve` may run on another thread.

    Little motion is used at once, and much motion is spanned later.
    """

    def __init__(self, config: CalibrationWindowConfig | None = None) -> None:
        self.config = config or CalibrationWindowConfig()
        self.clear()

    def clear(self) -> None:
        """Forget all views."""
        self._views: list[Tracks] = []
        self._flow = self.config.flow

    def due(self, tracks: Tracks) -> bool:
        """Whether the points have moved far enough since the last view."""
        if not self._views:
            return True
        return parallax(self._views[-1], tracks) >= self._flow * tracks.size[0]

    def add(self, tracks: Tracks) -> None:
        """Enter a view."""
        c = self.config
        self._views.append(tracks)
        if len(self._views) > c.views:
            wide = 2 * self._flow > c.largest_flow
            self._views = self._views[1:] if wide else self._views[::2]
            self._flow *= 1 if wide else 2

    def snapshot(self) -> tuple[Tracks, ...]:
        """The views as they are now."""
        return tuple(self._views)


def parallax(before: Tracks, after: Tracks) -> float:
    """Median motion in px of the points that both images see; infinite where they are few."""
    _, a, b = np.intersect1d(before.ids, after.ids, assume_unique=True, return_indices=True)
    if len(a) < 20:
        return np.inf
    return float(np.median(np.linalg.norm(before.pixels[a] - after.pixels[b], axis=1)))


def solve(
    views: tuple[Tracks, ...],
    before: Structure | None,
    lens: np.ndarray,
    prior: tuple[np.ndarray, np.ndarray],
    config: CalibrationWindowConfig,
) -> Solved | None:
    """Camera, poses and points of the views.

    Args:
        views: at least two.
        before: what was known when the last view came; None at the start.
        lens: (3,) f, cx, cy in px of the tracking image, where to start from.
        prior: (mean, sigma), each (3,) of log f, cx, cy.
        config: settings.

    Returns:
        None where too few points are seen by several views.
    """
    # 1 points that enough views see
    ids, counts = np.unique(np.concatenate([v.ids for v in views]), return_counts=True)
    ids = ids[counts >= min(config.min_views, len(views))]
    if len(ids) < config.min_points:
        return None
    # 2 a place for every view and every point
    start = _started(views, before, lens, ids, config)
    # 3 all together
    seen = _observations(views, ids, start, config)
    fixed = np.arange(len(views)) == 0
    how = config.bundle
    if before is not None:
        how = replace(how, iterations=config.warm_iterations)
    bundle = adjust(start, seen, fixed=fixed, lens_prior=prior, config=how)
    if not np.isfinite(bundle.cost):
        return None
    structure = Structure(ids, bundle.points, views, bundle.T_view_world, bundle.lens)
    return Solved(structure, bundle.lens_covariance, bundle.variance)


def _started(
    views: tuple[Tracks, ...],
    before: Structure | None,
    lens: np.ndarray,
    ids: np.ndarray,
    config: CalibrationWindowConfig,
) -> Bundle:
    """Known points and views where they were, the rest before a flat scene."""
    points = np.full((len(ids), 3), np.nan)
    if before is not None:
        _, mine, theirs = np.intersect1d(ids, before.ids, return_indices=True)
        points[mine] = before.points[theirs]
    poses, T = [], np.eye(4)
    for view in views:
        T = _pose(view, before, ids, points, lens, T, config.pixel_sigma)
        poses.append(T)
        _place_new(view, ids, points, lens, T)
    return Bundle(np.stack(poses), points, lens)


def _pose(
    view: Tracks,
    before: Structure | None,
    ids: np.ndarray,
    points: np.ndarray,
    lens: np.ndarray,
    last: np.ndarray,
    pixel_sigma: float,
) -> np.ndarray:
    """4x4 T_view_world as it was, or from the points that are known."""
    if before is not None:
        for other, T in zip(before.views, before.T_view_world):
            if other is view:
                return T
    known = np.isfinite(points[:, 0])
    structure = Structure(ids[known], points[known], (), np.empty((0, 4, 4)), lens)
    data = structure.known(view, pixel_sigma)
    T = refine_pose(last, data)[0] if len(data.points) >= 6 else last
    return T if np.isfinite(T).all() else last


def _place_new(
    view: Tracks, ids: np.ndarray, points: np.ndarray, lens: np.ndarray, T: np.ndarray
) -> None:
    """Points that first appear in this view, at the depth of the others; changes `points`."""
    _, mine, theirs = np.intersect1d(ids, view.ids, return_indices=True)
    depth = se3.transform(T, points[mine])[:, 2]
    usable = np.isfinite(depth) & (depth > 0)
    middle = float(np.median(depth[usable])) if usable.any() else 1.0
    new = ~(depth > 0.05 * middle)  # unknown, or behind this camera
    rays = np.column_stack([
        (view.pixels[theirs[new]] - lens[1:]) / lens[0], np.ones(new.sum())
    ])  # fmt: skip
    points[mine[new]] = se3.transform(se3.inverse(T), middle * rays)


def _observations(
    views: tuple[Tracks, ...], ids: np.ndarray, start: Bundle, config: CalibrationWindowConfig
) -> Observations:
    columns = []
    for i, view in enumerate(views):
        _, mine, theirs = np.intersect1d(ids, view.ids, return_indices=True)
        pixels = view.pixels[theirs].astype(float)
        columns.append((np.full(len(mine), i), mine, pixels, view.sigma[theirs]))
    view, point, pixels, sigma = (np.concatenate(column) for column in zip(*columns))
    # the flat start, once per point
    depth = np.full(len(view), np.nan)
    _, first = np.unique(point, return_index=True)
    T = start.T_view_world[view[first]]
    depth[first] = np.median(np.einsum("mj,mj->m", T[:, 2, :3], start.points) + T[:, 2, 3])
    return Observations(view, point, pixels, depth, sigma, config.depth_sigma)
