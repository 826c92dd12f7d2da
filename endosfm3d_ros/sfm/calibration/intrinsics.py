"""Which camera the estimator believes in.

Modes: `auto` believes a given calibration until the video contradicts it (see `given`), and is
`estimate` without one; `estimate` starts from the shape of the picture and never reads a given
calibration; `prior` starts at the given one and may move away from it; `fixed` takes the given one
as it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.timing import Slack
from endosfm3d_ros.sfm.calibration.first_guess import first_guess
from endosfm3d_ros.sfm.calibration.given import GivenCalibration
from endosfm3d_ros.sfm.calibration.lens import LensBelief
from endosfm3d_ros.sfm.calibration.self_calibration import SelfCalibration, SelfCalibrationConfig
from endosfm3d_ros.types import Frame, IntrinsicsEstimate

IntrinsicsMode = Literal["auto", "estimate", "prior", "fixed"]
SAME_ASPECT = 0.01  # of width over height; more than sizes are rounded by is another camera


@dataclass(frozen=True)
class IntrinsicsConfig:
    """Standard deviations before anything was observed: of log f, and of the centre by width."""

    mode: IntrinsicsMode = "estimate"
    default_focal_sigma: float = 0.25  # 0.82 W covers scopes of 0.6 to 1.2 W
    default_centre_sigma: float = 0.06
    prior_focal_sigma: float = 0.02  # zoom and focus since the calibration
    prior_centre_sigma: float = 0.01
    network_window: int = 60  # pairs of frames that the median of the network is taken over
    network_pairs: int = 10  # fewer are not believed
    network_floor: float = 0.05  # of log f and of the centre; a network's error does not average
    calibration: SelfCalibrationConfig = field(default_factory=SelfCalibrationConfig)

    def __post_init__(self) -> None:
        if self.mode not in get_args(IntrinsicsMode):
            raise ConfigurationError(
                f"intrinsics mode '{self.mode}': accepted are {', '.join(get_args(IntrinsicsMode))}"
            )


class IntrinsicsFilter:
    """One camera for the stream, from the picture, the network and the motion of points.

    Args:
        config: settings.
        background: refine beside the frames, for live use.
        slack: of the frames; where it is scarce, less is refined.
    """

    def __init__(
        self,
        config: IntrinsicsConfig | None = None,
        background: bool = False,
        slack: Slack | None = None,
    ) -> None:
        self.config = config or IntrinsicsConfig()
        self._slack = slack
        self._background = background
        self.reset()

    @property
    def mode(self) -> IntrinsicsMode:
        """How a given calibration is used."""
        return self.config.mode

    @property
    def notes(self) -> list[str]:
        """What the user should know about the given calibration, and jobs that failed."""
        jobs = [] if self._calibration is None else self._calibration.notes
        return [*jobs, self._trust.note] if self._trust.note else jobs

    @property
    def reads_calibration(self) -> bool:
        """Whether a calibration has come, and the mode lets it be read."""
        return self._given is not None

    def set_mode(self, mode: IntrinsicsMode) -> None:
        """From the next frame on; what was learnt in another mode is forgotten.

        Raises:
            ConfigurationError: an unknown mode.
        """
        if mode != self.config.mode:
            self.config = replace(self.config, mode=mode)
            self.reset()

    def reset(self) -> None:
        """Back to the start value of the mode."""
        self._given: PinholeCamera | None = None  # the last one that came along
        c = self.config
        self._trust = GivenCalibration(c.prior_focal_sigma, c.prior_centre_sigma)
        self._start: PinholeCamera | None = None
        self._calibration: SelfCalibration | None = None
        self._base: PinholeCamera | None = None  # that it started from
        self._pairs: deque[np.ndarray] = deque(maxlen=self.config.network_window)
        self._count = 0

    def observe(self, camera: PinholeCamera) -> None:
        """Enter what the network reads from one pair of frames.

        Single pairs are noisy, so it is the median over a window that counts; where the picture
        did not move, a pair says nothing and is left out.
        """
        still = self._calibration is not None and not self._calibration.moving
        if self.config.mode == "fixed" or still:
            return
        self._pairs.append(LensBelief.of_camera(camera, 1, 1).mean)
        self._count += 1

    def update(self, frame: Frame, learn: bool = True) -> IntrinsicsEstimate:
        """The estimate at the size of this frame's image.

        Args:
            frame: the image, perhaps with a calibration.
            learn: whether the image is good enough to tell something.

        Raises:
            InputError: mode `fixed`, and no calibration has come yet.
        """
        height, width = frame.image.shape[:2]
        base = self._start_camera(frame)
        start = base.resized(width, height)
        if self.config.mode == "fixed":
            return IntrinsicsEstimate(start, np.zeros((4, 4)), "fixed", 0, "fixed")
        calibration = self._calibration_from(base)
        self._suggest_network(calibration)
        if learn:
            calibration.observe(frame)
        belief = calibration.belief
        count = calibration.count + self._count
        state = calibration.state
        if state in ("uninitialised", "unobservable") and self._believed_pairs:
            state = "converging"
        found = IntrinsicsEstimate(
            belief.camera(start), belief.covariance(start), state, count, self.config.mode
        )
        if self.config.mode != "auto" or self._given is None:
            return found
        judged = self._trust.judge(found)
        if self._trust.start_anew:
            self._calibration = None
        return judged

    def _start_camera(self, frame: Frame) -> PinholeCamera:
        """What is believed without observations: the given camera where the mode allows it."""
        if self.config.mode != "estimate":
            self._given = frame.camera or self._given
            if self._given is not None:
                auto = self.config.mode == "auto"
                return self._trust.start(self._given) if auto else self._given
        if self.config.mode == "fixed":
            raise InputError("intrinsics mode 'fixed' needs a calibration, and none was given yet")
        height, width = frame.image.shape[:2]
        if self._start is None or not _alike(self._start, width, height):
            self._start = first_guess(frame.image)
        return self._start

    def _calibration_from(self, start: PinholeCamera) -> SelfCalibration:
        if self._calibration is None or self._base != start:
            self._base = start
            c, given = self.config, self._given is not None and not self._trust.refuted
            belief = LensBelief.of_camera(
                start,
                c.prior_focal_sigma if given else c.default_focal_sigma,
                c.prior_centre_sigma if given else c.default_centre_sigma,
            )
            self._calibration = SelfCalibration(
                belief, c.calibration, self._background, self._slack, start
            )
        return self._calibration

    @property
    def _believed_pairs(self) -> bool:
        return len(self._pairs) >= self.config.network_pairs

    def _suggest_network(self, calibration: SelfCalibration) -> None:
        """Median and spread of the network's answers, never better than its floor."""
        if not self._believed_pairs:
            return
        pairs = np.array(self._pairs)
        middle = np.median(pairs, axis=0)
        # 1.4826: the median absolute deviation of a normal distribution with sigma 1
        spread = 1.4826 * np.median(np.abs(pairs - middle), axis=0)
        sigma = np.hypot(spread / np.sqrt(len(pairs)), self.config.network_floor)
        calibration.suggest(LensBelief(middle, sigma))


def _alike(camera: PinholeCamera, width: int, height: int) -> bool:
    """Whether an image may be one of this camera at another size."""
    return abs(camera.height * width / (camera.width * height) - 1) < SAME_ASPECT
