"""Noticing that somebody zooms: known points that fit another focal length better.

The structure compared with is half a second old where the picture moves slowly enough, so that
views taken while the optics already move have no say in it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.sfm.calibration.lens import LensBelief
from endosfm3d_ros.sfm.calibration.point_tracks import Tracks
from endosfm3d_ros.sfm.calibration.window import Structure
from endosfm3d_ros.sfm.solvers.pose_refinement import resect


@dataclass(frozen=True)
class ZoomConfig:
    """Logarithms of factors on the focal length."""

    age: int = 500_000_000  # ns of the structure that images are compared with
    change: float = 0.08  # smaller changes are left to the window
    sigmas: float = 4.0  # of what this image says
    doubts: float = 2.0  # standard deviations of the focal length that it is compared with
    frames: int = 3  # in a row
    points: int = 30  # that must be known; fewer conspire
    pixel_sigma: float = 0.5  # px, where points are followed
    placed_sigma: float = 0.15  # px, of known points where they were put right, beside the tracks'
    focal_sigma: float = 0.25  # of a change, before the points are looked at
    settled: float = 0.015  # spread over the frames after a zoom, or what one of them states
    settled_frames: int = 6
    repeated: float = 1.5  # factor on what these frames state: errors of a structure repeat in each
    misfit: float = 5.0  # standard deviations of the pixels beyond which points have gone astray
    useless: float = 0.06  # sigma above which an image says nothing about the change
    lost_sigma: float = 0.12  # and where the points went out of sight before


@dataclass(frozen=True)
class Zoom:
    """A change of the focal length under way, or over."""

    belief: LensBelief  # with the new focal length
    over: bool  # the optics stand still again, or nothing more can be said


@dataclass(frozen=True)
class _Known:
    stamp: int
    structure: Structure
    belief: LensBelief


class ZoomWatch:
    """`look` at every frame; `remember` whatever was solved."""

    def __init__(self, config: ZoomConfig | None = None) -> None:
        self.config = config or ZoomConfig()
        self.forget()

    def forget(self) -> None:
        """Start anew: nothing is known of the scene."""
        self._history: deque[_Known] = deque(maxlen=8)
        self._reference: _Known | None = None
        self._pose = np.eye(4)
        self._strange = 0  # frames in a row that fit another focal length
        self._ratios: deque[float] | None = None  # of the last frames, while the optics move

    @property
    def doubtful(self) -> bool:
        """Whether the last images fit another focal length, but not for long enough yet."""
        return self._strange > 0

    def remember(self, stamp: int, structure: Structure, belief: LensBelief) -> None:
        """What was solved from views up to this time."""
        self._history.append(_Known(stamp, structure, belief))

    def look(self, stamp: int, tracks: Tracks) -> Zoom | None:
        """None while the image fits the focal length, or nothing is known."""
        if self._ratios is None and self._strange == 0:
            self._choose_reference(stamp, tracks)
        if self._reference is None:
            return None
        found = self._change(tracks, self.config.pixel_sigma)
        # 1 the points went out of sight, or say nothing
        if found is None:
            self._strange = 0
            if self._ratios is None:
                return None
            return self._zoom(float(np.median(self._ratios)), self.config.lost_sigma)
        # 2 nothing unusual, or not for long enough
        if self._ratios is None and not self._noticed(*found):
            return None
        # 3 follow until the optics stand still
        return self._followed(*found)

    def measured(self, tracks: Tracks) -> Zoom | None:
        """The change that is over once more, from points that were put right since."""
        found = self._change(tracks, np.hypot(tracks.sigma, self.config.placed_sigma))
        return None if found is None else self._zoom(found[0], self.config.repeated * found[1])

    def _change(
        self, tracks: Tracks, pixel_sigma: np.ndarray | float
    ) -> tuple[float, float] | None:
        """(logarithm of the factor, its sigma) since the reference; None where it is unknown."""
        c = self.config
        data = self._reference.structure.known(tracks, pixel_sigma)
        if len(data.points) < c.points:
            return None
        found = resect(self._pose, data, c.focal_sigma)
        if not found.misfit <= c.misfit or (self._ratios is not None and found.sigma > c.useless):
            return None
        self._pose = found.T
        return found.log_factor, found.sigma

    def _noticed(self, ratio: float, sigma: float) -> bool:
        c = self.config
        doubt = self._reference.belief.sigma[0]
        strange = abs(ratio) > max(c.change, c.sigmas * sigma, c.doubts * doubt)
        self._strange = self._strange + 1 if strange else 0
        return self._strange >= c.frames

    def _followed(self, ratio: float, sigma: float) -> Zoom:
        c = self.config
        if self._ratios is None:
            self._ratios = deque(maxlen=c.settled_frames)
        self._ratios.append(ratio)
        steady = np.ptp(self._ratios) < max(c.settled, c.repeated * sigma)
        still = steady and len(self._ratios) == c.settled_frames
        if not still:
            return self._zoom(ratio, c.lost_sigma, over=False)
        return self._zoom(float(np.median(self._ratios)), c.repeated * sigma)

    def _choose_reference(self, stamp: int, tracks: Tracks) -> None:
        """The newest of what is old enough, or else the oldest, of which enough is still seen."""
        seen = [known for known in self._history if self._sees(known, tracks)]
        old = [known for known in seen if stamp - known.stamp >= self.config.age]
        chosen = old[-1:] or seen[:1]
        if chosen and chosen[0] is not self._reference:
            self._reference = chosen[0]
            self._pose = self._reference.structure.T_view_world[-1]  # where it was last

    def _sees(self, known: _Known, tracks: Tracks) -> bool:
        return np.isin(known.structure.ids, tracks.ids).sum() >= self.config.points

    def _zoom(self, ratio: float, sigma: float, over: bool = True) -> Zoom:
        before = self._reference.belief
        grown = np.array([np.hypot(before.sigma[0], sigma), *before.sigma[1:]])
        return Zoom(LensBelief(before.mean + np.array([ratio, 0, 0]), grown), over)
