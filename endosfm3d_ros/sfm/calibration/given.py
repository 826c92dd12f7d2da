"""A calibration that came along: believed as it is until the video contradicts it.

Self-calibration starts at it and watches it. While a zoom is seen, what it says is passed on with
its doubt; it takes over once it is certain, and is forgotten where it was none. A focal length that
stays beyond what both sides state takes over after a few solutions. What has taken over stays until
a reset or another calibration: two cameras in turn would be worse than either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.calibration.lens import LensBelief
from endosfm3d_ros.types import IntrinsicsEstimate

BELIEVED = "given"  # state of an estimate that is the given calibration
JUDGED = ("converging", "converged")  # states in which a solution says more than the start did


@dataclass(frozen=True)
class GivenConfig:
    """When a calibration is contradicted."""

    sigmas: float = 3.0  # of the calibration and of the solution together
    solutions: int = 3  # in a row


class GivenCalibration:
    """Judges every estimate that started at a given calibration.

    Args:
        focal_sigma: of log f of a calibration: zoom and focus since it was made.
        centre_sigma: of the principal point, as a share of the width.
        config: settings.
    """

    def __init__(
        self, focal_sigma: float, centre_sigma: float, config: GivenConfig | None = None
    ) -> None:
        self._sigma = focal_sigma, centre_sigma
        self.config = config or GivenConfig()
        self.forget()

    def forget(self) -> None:
        """Nothing has come yet."""
        self._given: PinholeCamera | None = None
        self._taken_over = self._changing = False
        self._count = self._strange = 0
        self.refuted: PinholeCamera | None = None  # what the video says in its place
        self.start_anew = False  # a zoom was none: what was learnt from it is wrong
        self.note = ""

    def start(self, given: PinholeCamera) -> PinholeCamera:
        """Where self-calibration starts: the calibration, or what has refuted it."""
        if given != self._given:
            self.forget()
            self._given = given
        return self.refuted or given

    def judge(self, estimate: IntrinsicsEstimate) -> IntrinsicsEstimate:
        """The camera to believe in: the given one while nothing speaks against it."""
        camera = estimate.camera
        given = self._given.resized(camera.width, camera.height)
        if self._taken_over:
            return estimate
        moved = abs(np.log(camera.fx / given.fx)) / self.config.sigmas
        certain = moved > np.hypot(_sigma(estimate), self._sigma[0])
        zooming = estimate.state == "changed" and moved > self._sigma[0]
        if certain and (zooming or self._changing):
            self._take_over(given, camera, "somebody has zoomed")
            return estimate
        self.start_anew, self._changing = self._changing and not zooming, zooming
        if zooming:
            return estimate
        if not self.start_anew and self._contradicted(certain, estimate):
            self.refuted = camera
            self._take_over(given, camera, "the video contradicts it")
            return estimate
        covariance = LensBelief.of_camera(given, *self._sigma).covariance(given)
        return replace(estimate, camera=given, covariance=covariance, state=BELIEVED)

    def _contradicted(self, certain: bool, estimate: IntrinsicsEstimate) -> bool:
        """Whether the last solutions all lie too far away; each solution is judged once."""
        if estimate.count == self._count or estimate.state not in JUDGED:
            return False
        self._count = estimate.count
        self._strange = self._strange + 1 if certain else 0
        return self._strange >= self.config.solutions

    def _take_over(self, given: PinholeCamera, camera: PinholeCamera, why: str) -> None:
        self._taken_over = True
        self.note = (
            f"the given calibration (fx {given.fx:.0f} px) is not used any more: {why} (fx "
            f"{camera.fx:.0f} px). Calibrate again, or set intrinsics_mode to fixed to insist on it"
        )


def _sigma(estimate: IntrinsicsEstimate) -> float:
    """Standard deviation of the logarithm of the focal length."""
    return float(np.sqrt(max(estimate.covariance[0, 0], 0.0))) / estimate.camera.fx
