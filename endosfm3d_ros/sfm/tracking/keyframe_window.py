"""The window of key frames that is adjusted together.

It is solved by bundle adjustment; its oldest view stays where it is, so what was solved before is
kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.sampling import depth_along
from endosfm3d_ros.sfm.solvers.bundle import adjust
from endosfm3d_ros.sfm.solvers.bundle_model import Bundle, BundleConfig, Observations
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe, Link, drift, found_again, rotated


@dataclass(frozen=True)
class WindowConfig:
    """How much is adjusted together, and how views are compared."""

    views: int = 10
    reach: int = 6  # key frames before and after, that a key frame is compared with
    patch: int = 15  # px
    round_trip: float = 0.5  # px
    gate: float = 6.0  # px from where the point is expected
    min_matches: int = 15  # of a pair of views
    pixel_sigma: float = 0.5  # px
    bundle: BundleConfig = field(
        # what further steps would change is less than what the next view does
        default_factory=lambda: BundleConfig(tolerance=2e-3)
    )


@dataclass(frozen=True)
class Improved:
    """What an adjustment says about the views it saw."""

    T_map: dict[int, np.ndarray]  # key frame number -> 4x4
    covariance: dict[int, np.ndarray]  # key frame number -> (6, 6)
    points: dict[int, np.ndarray]  # key frame number -> (N, 3) in its camera
    cameras: dict[int, PinholeCamera]  # key frame number -> the camera it was solved with
    links: dict[tuple[int, int], Link]  # host, target


@dataclass(frozen=True)
class Correction:
    """What an adjustment made of one view, for those that were placed relative to it."""

    T_before: np.ndarray  # 4x4 the view's camera to the map
    T_after: np.ndarray
    growth: float  # of the distances to its points

    @classmethod
    def between(cls, before: Keyframe, after: Keyframe) -> Correction:
        """Of one view; its points say how much larger the world around it is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.log(after.points[:, 2] / before.points[:, 2])
        ratios = ratios[np.isfinite(ratios)]
        growth = float(np.exp(np.median(ratios))) if len(ratios) else 1.0
        return cls(before.T_map, after.T_map, growth)

    def of(self, view: Keyframe) -> Keyframe:
        """Another view, as far from the corrected one in its larger world as it was before."""
        growth = 1.0 if view.depth is not None else self.growth  # what is measured does not grow
        here = se3.inverse(self.T_before) @ view.T_map
        T = se3.normalised(self.T_after @ se3.scaled(here, growth))
        return replace(view, T_map=T, points=growth * view.points, measured=growth * view.measured)


class KeyframeWindow:
    """The last key frames. `solve` may run on another thread than the rest."""

    def __init__(self, config: WindowConfig | None = None) -> None:
        self.config = config or WindowConfig()
        self.views: deque[Keyframe] = deque(maxlen=self.config.views)
        self._links: dict[tuple[int, int], Link] = {}

    def add(self, view: Keyframe) -> None:
        """A new key frame; the oldest one leaves a full window."""
        self.views.append(view)

    def clear(self) -> None:
        """Forget all key frames."""
        self.views.clear()
        self._links = {}

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor, about the origin of the map."""
        self.views = deque((view.grown(factor) for view in self.views), maxlen=self.config.views)

    def recalibrate(self, camera: PinholeCamera) -> None:
        """The camera is known better: points move onto their new rays, as far away as before."""
        self.views = deque((_seen_with(view, camera) for view in self.views), self.views.maxlen)

    def snapshot(self) -> tuple[Keyframe, ...]:
        """The views as they are now, for `solve`."""
        return tuple(self.views)

    def solve(self, views: tuple[Keyframe, ...]) -> Improved | None:
        """Adjust poses and points together; None where no two views see the same."""
        c = self.config
        links = self._matched(views)
        if not links:
            return None
        # 1 points: those that another view sees
        rows = [np.unique(np.concatenate([np.empty(0, int)] + [
            link.index for (host, _), link in links.items() if host == view.number
        ])) for view in views]  # fmt: skip
        offsets = np.cumsum([0] + [len(r) for r in rows])
        points = np.concatenate([
            se3.transform(view.T_map, view.points[r]) for view, r in zip(views, rows)
        ])  # fmt: skip
        # 2 from where everything is believed to be
        start = Bundle(
            np.stack([se3.inverse(v.T_map) for v in views]), points, _lens(views[-1].camera)
        )
        seen = _observations(views, rows, offsets, links, c.pixel_sigma)
        fixed = np.arange(len(views)) == 0
        bundle = adjust(start, seen, fixed=fixed, config=c.bundle)
        if not np.isfinite(bundle.cost):
            return None
        return _improved(views, rows, offsets, links, bundle)

    def _matched(self, views: tuple[Keyframe, ...]) -> dict[tuple[int, int], Link]:
        """Every pair of views within reach, compared once."""
        links = {}
        for i, host in enumerate(views):
            for j, target in enumerate(views):
                if i == j or abs(i - j) > self.config.reach:
                    continue
                key = host.number, target.number
                link = self._links.get(key) or self._match(host, target)
                if len(link.index) >= self.config.min_matches:
                    links[key] = link
        return links

    def _match(self, host: Keyframe, target: Keyframe) -> Link:
        c = self.config
        T = se3.inverse(target.T_map) @ host.T_map
        return found_again(
            host, T, target.grey, target.camera,
            window=c.patch, round_trip=c.round_trip, gate=c.gate,
        )  # fmt: skip

    def apply(self, improved: Improved) -> None:
        """Take over what was solved, for the views that are still here.

        Views that came while it was solved hang on the last one that it knew, and follow it.
        """
        before = [view for view in self.views if view.number in improved.T_map]
        moved = [_moved(view, improved) for view in self.views]
        if before:
            known = next(view for view in moved if view.number == before[-1].number)
            change = Correction.between(before[-1], known)
            moved = [change.of(view) if view.number > known.number else view for view in moved]
        self.views = deque(moved, maxlen=self.config.views)
        here = {view.number for view in self.views}
        self._links = {key: link for key, link in improved.links.items() if here.issuperset(key)}


def _seen_with(view: Keyframe, camera: PinholeCamera) -> Keyframe:
    rays = camera.unproject(view.pixels)
    return replace(view, camera=camera, points=rays * view.points[:, 2:])


def _moved(view: Keyframe, improved: Improved) -> Keyframe:
    if view.number not in improved.T_map:
        return view
    number = view.number
    moved = replace(
        view, T_map=improved.T_map[number], points=improved.points[number],
        covariance=improved.covariance[number],
    )  # fmt: skip
    known_better = view.camera is not improved.cameras[number]
    return _seen_with(moved, view.camera) if known_better else moved


def _improved(
    views: tuple[Keyframe, ...],
    rows: list[np.ndarray],
    offsets: np.ndarray,
    links: dict[tuple[int, int], Link],
    bundle: Bundle,
) -> Improved:
    poses = [se3.normalised(se3.inverse(T)) for T in bundle.T_view_world]
    covariance, points = {}, {}
    for i, (view, T) in enumerate(zip(views, poses)):
        mine = view.points.copy()
        solved = bundle.points[offsets[i] : offsets[i + 1]]
        mine[rows[i]] = se3.transform(bundle.T_view_world[i], solved)
        points[view.number] = mine
        own = rotated(bundle.pose_covariance[i], T[:3, :3])
        moved = se3.inverse(T) @ poses[0]
        covariance[view.number] = views[0].covariance + own + (i > 0) * drift(views[0], moved)
    numbers = [view.number for view in views]
    cameras = {view.number: view.camera for view in views}
    return Improved(dict(zip(numbers, poses)), covariance, points, cameras, links)


def _observations(
    views: tuple[Keyframe, ...],
    rows: list[np.ndarray],
    offsets: np.ndarray,
    links: dict[tuple[int, int], Link],
    pixel_sigma: float,
) -> Observations:
    """Every point in its own view, and in the views that it was found again in."""
    position = {view.number: i for i, view in enumerate(views)}
    table = [
        (i, offsets[i] + np.arange(len(r)), views[i].pixels[r], views[i].measured[r])
        for i, r in enumerate(rows)
    ]
    for (host, target), link in links.items():
        i, j = position[host], position[target]
        points = offsets[i] + np.searchsorted(rows[i], link.index)
        table.append((j, points, link.pixels, None))
    columns = [_seen_by(views[i], i, *rest) for i, *rest in table if len(rest[0])]
    view, point, pixels, depth, sigma = (np.concatenate(column) for column in zip(*columns))
    return Observations(view, point, pixels, depth, pixel_sigma, sigma)


def _seen_by(
    view: Keyframe, i: int, points: np.ndarray, pixels: np.ndarray, measured: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """Columns of the observations of one view, without lens distortion."""
    count = len(points)
    rays = view.camera.unproject(pixels)
    f, cx, cy = _lens(view.camera)  # square pixels: the rays carry what differs
    if measured is None:
        unknown = np.full(count, np.nan)
        measured = unknown if view.depth is None else depth_along(rays, view.depth)
    undistorted = f * rays[:, :2] + (cx, cy)
    return np.full(count, i), points, undistorted, measured, np.full(count, view.depth_sigma)


def _lens(camera: PinholeCamera) -> np.ndarray:
    return np.array([camera.fx, camera.cx, camera.cy])
