"""The camera from the video alone: no calibration, no depth and no network is read.

Points are followed through the images; key views of them are solved by bundle adjustment for
focal length and principal point. Between two solutions every image is compared with the structure
that is known: points that fit another focal length better show that somebody has zoomed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.timing import Slack
from endosfm3d_ros.runtime.worker import Background
from endosfm3d_ros.sfm.calibration.lens import LensBelief
from endosfm3d_ros.sfm.calibration.point_tracks import PointTracks, PointTracksConfig, Tracks
from endosfm3d_ros.sfm.calibration.window import (
    CalibrationWindow,
    CalibrationWindowConfig,
    Solved,
    Structure,
    solve,
)
from endosfm3d_ros.sfm.calibration.zoom import Zoom, ZoomConfig, ZoomWatch
from endosfm3d_ros.types import Frame


@dataclass(frozen=True)
class SelfCalibrationConfig:
    """Standard deviations are of log f and, for the principal point, shares of the width."""

    correlation: float = 3.0  # factor on covariances: errors of one point repeat in every view
    rigid_variance: float = 0.13  # of whitened residuals that a scene leaves that keeps its shape
    pliant: float = 1.0  # power of what is above it, as a factor on the deviations
    floor: float = 0.003  # of log f; distortion and rolling shutter leave no less
    drift: float = 0.005  # of log f, that a prior loses per window of views
    observable: float = 0.4  # share of the first sigma above which the first guess is kept
    least_step: float = 0.004  # of the width between two frames
    patience: int = 30  # frames without a second view before the camera is called unobservable
    converged: float = 0.035  # of log f
    min_views: int = 4
    rest: float = 15.0  # times what a solution waited for a core, until the next view
    scatter: int = 10  # solutions that must agree: tissue that gives way bends each one differently
    tracks: PointTracksConfig = field(default_factory=PointTracksConfig)
    window: CalibrationWindowConfig = field(default_factory=CalibrationWindowConfig)
    zoom: ZoomConfig = field(default_factory=ZoomConfig)


class SelfCalibration:
    """What the video says about its camera. `observe` takes every frame.

    Args:
        start: what is believed before anything was seen.
        config: settings.
        background: solve on a thread of its own, so that no frame waits.
        slack: of the frames; where it is scarce, views are solved less often.
        lens: of the images, of any size; None or without distortion where they are straight. Its
            distortion is believed as it is.
    """

    def __init__(
        self,
        start: LensBelief,
        config: SelfCalibrationConfig | None = None,
        background: bool = False,
        slack: Slack | None = None,
        lens: PinholeCamera | None = None,
    ) -> None:
        self._lens = lens if lens is not None and lens.distorted else None
        self.config = config or SelfCalibrationConfig()
        self._guess = self._start = start
        self._renewal: Background[Tracks] = Background(background, name="putting points right")
        self._solver: Background[Solved | None] = Background(
            background, self.config.rest, slack, "self-calibration"
        )
        self._tracks = PointTracks(self.config.tracks)
        self._window = CalibrationWindow(self.config.window)
        self._prior = self.belief = self._solution = start
        self._size: tuple[int, int] | None = None
        self._step = 0.0  # motion since the last frame as a share of the width
        self._waited = 0  # frames since the last view
        self.count = 0  # views that were solved for
        self.state = "uninitialised"
        self._zoom_watch = ZoomWatch(self.config.zoom)
        self._viewed = self._submitted = 0  # stamps of the last view, and of the last solved
        self._forget_views()

    def observe(self, frame: Frame) -> None:
        """Enter one image; `belief`, `state` and `count` tell what is known after it."""
        tracks = self._straight(self._tracks.update(frame))
        self._step = tracks.step / tracks.size[0]
        if tracks.size != self._size:
            self._restart(tracks)
        # 1 what was seen and solved meanwhile
        self._take_solution(tracks)
        self._take_view()
        # 2 does this image still fit the focal length?
        zoom = self._zoom_watch.look(frame.stamp, tracks)
        if zoom is not None:
            self._reopen(zoom)
            return
        # 3 a view that shows the scene from elsewhere is worth solving again; one through optics
        # that may move would cost points that tell whether they do
        if self._window.due(tracks) and not self._zoom_watch.doubtful:
            if self._renewal.submit(self._renewed):
                self._viewed = frame.stamp
            self._take_view()
        self._waited += 1
        if self.state == "uninitialised" and self._waited > self.config.patience:
            self.state = "unobservable"

    @property
    def notes(self) -> list[str]:
        """What the user should know about jobs that failed."""
        return [job.note for job in (self._renewal, self._solver) if job.note]

    @property
    def moving(self) -> bool:
        """Whether the picture moved enough since the last frame to tell anything."""
        return self._step > self.config.least_step

    def suggest(self, belief: LensBelief) -> None:
        """What somebody else says, besides the first guess; counts until the views say more."""
        start = self._guess.joined(belief)
        if self._prior is self._start:
            self._prior = start
        self._start = start
        if self.state in ("uninitialised", "unobservable"):
            self.belief = start

    def _renewed(self) -> Tracks:
        return self._straight(self._tracks.renew())

    def _straight(self, tracks: Tracks) -> Tracks:
        """The points where a lens without distortion would have put them."""
        if self._lens is None or not len(tracks.pixels):
            return tracks
        lens = self._lens.resized(*tracks.size)
        pixels = lens.undistorted().project(lens.unproject(tracks.pixels))
        return replace(tracks, pixels=pixels.astype(np.float32))

    def _restart(self, tracks: Tracks) -> None:
        """Another image size: places in the old image mean nothing any more."""
        self._size = tracks.size
        self._forget_views()
        self._zoom_watch.forget()

    def _forget_views(self) -> None:
        self._window.clear()
        self._renewal.forget()
        self._solver.forget()
        self._structure: Structure | None = None
        self._views = 0  # since the prior was renewed
        self._past: deque[np.ndarray] = deque(maxlen=self.config.scatter)

    def _take_view(self) -> None:
        """Enter a view whose points were renewed, and solve unless the last one is under way."""
        view = self._renewal.take()
        if self._renewal.failed:  # half of the points may be put right and half not
            self._tracks.reset()
            self._forget_views()
            self._zoom_watch.forget()
        if view is None:
            return
        self._window.add(view)
        self._views += 1
        self._waited = 0
        views, width = self._window.snapshot(), view.size[0]
        before, c = self._structure, self.config.window
        lens, prior = self._solution.lens(width), self._prior.prior(width)
        if len(views) > 1 and self._solver.submit(lambda: solve(views, before, lens, prior, c)):
            self._submitted = self._viewed

    def _take_solution(self, tracks: Tracks) -> None:
        solved = self._solver.take()
        if solved is not None:
            self._learn(solved, tracks.size[0])

    def _learn(self, solved: Solved, width: int) -> None:
        """Judge a solution, and believe it as far as it goes."""
        c, self._structure = self.config, solved.structure
        # tissue that gives way leaves residuals, and bends the camera by more than they say
        bent = max(1.0, solved.variance / c.rigid_variance) ** c.pliant
        own = bent * np.sqrt(np.diag(solved.covariance) * c.correlation)
        sigma = np.maximum(own / (solved.structure.lens[0], width, width), c.floor)
        sigma = np.minimum(sigma, self._prior.sigma)
        self._past.append(LensBelief.of_lens(solved.structure.lens, sigma, width).mean)
        sigma = np.maximum(sigma, np.std(self._past, axis=0))
        self._solution = LensBelief.of_lens(solved.structure.lens, sigma, width)
        self.count += 1
        self._judge()
        if self.state != "unobservable":  # what is not known cannot be seen to change
            self._zoom_watch.remember(self._submitted, solved.structure, self.belief)
        if self._views >= c.window.views:  # all views are new: what they say becomes the prior
            self._views = 0
            grown = np.hypot(self._solution.sigma, c.drift)
            self._prior = LensBelief(self._solution.mean, np.minimum(grown, self._start.sigma))

    def _judge(self) -> None:
        """Believe the solution as soon as it says more than the first guess did."""
        c, sigma = self.config, self._solution.sigma[0]
        if sigma > c.observable * self._start.sigma[0]:
            known_before = self._prior.sigma[0] < self._start.sigma[0]  # from before a zoom
            self.state = "converging" if known_before else "unobservable"
            return
        self.belief = self._solution
        steady = sigma <= c.converged and len(self._window.snapshot()) >= c.min_views
        self.state = "converged" if steady else "converging"

    def _reopen(self, zoom: Zoom) -> None:
        """Somebody zooms: follow frame by frame, then start the window anew from there."""
        self._forget_views()
        if zoom.over:  # now that time does not press, by precise places
            zoom = self._zoom_watch.measured(self._renewed()) or zoom
        self.belief, self.state = zoom.belief, "changed"
        if not zoom.over:
            return
        self._zoom_watch.forget()
        self._prior = self._solution = zoom.belief
        self._guess = self._start = LensBelief(
            zoom.belief.mean, np.maximum(zoom.belief.sigma, self._guess.sigma)
        )
        steady = zoom.belief.sigma[0] <= self.config.converged
        self.state = "converged" if steady else "converging"
