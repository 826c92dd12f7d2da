"""Which camera the estimator believes in.

Modes: `estimate` starts at 0.82 of the width and never reads a given calibration; `prior` starts
at the given one and may move away from it; `fixed` takes the given one as it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame, IntrinsicsEstimate

IntrinsicsMode = Literal["estimate", "prior", "fixed"]


@dataclass(frozen=True)
class IntrinsicsConfig:
    """Standard deviations before anything was observed, as shares of the width."""

    mode: IntrinsicsMode = "estimate"
    default_focal_sigma: float = 0.25  # 0.82 W covers scopes of 0.6 to 1.2 W
    default_centre_sigma: float = 0.06
    prior_focal_sigma: float = 0.02  # zoom and focus since the calibration
    prior_centre_sigma: float = 0.01
    window: int = 60  # observations that the median is taken over
    converged_after: int = 30  # observations
    converged_spread: float = 0.05  # relative spread of the focal length

    def __post_init__(self) -> None:
        if self.mode not in get_args(IntrinsicsMode):
            raise ConfigurationError(
                f"intrinsics mode '{self.mode}': accepted are {', '.join(get_args(IntrinsicsMode))}"
            )


class IntrinsicsFilter:
    """Holds the estimate for the current image size; resized with it."""

    def __init__(self, config: IntrinsicsConfig | None = None) -> None:
        self.config = config or IntrinsicsConfig()
        self.reset()

    def reset(self) -> None:
        """Back to the start value of the mode."""
        self._estimate: IntrinsicsEstimate | None = None
        self._observed: deque[np.ndarray] = deque(maxlen=self.config.window)
        self._count = 0

    def observe(self, camera: PinholeCamera) -> None:
        """Enter what one pair of frames says about the camera.

        Single pairs are noisy, so the estimate is the median of log focal length and of relative
        principal point over a window, and its covariance comes from the spread there.
        """
        if self.config.mode == "fixed":
            return
        focal = np.log([camera.fx / camera.width, camera.fy / camera.width])
        centre = [(camera.cx + 0.5) / camera.width, (camera.cy + 0.5) / camera.height]
        self._observed.append(np.concatenate([focal, centre]))
        self._count += 1

    def update(self, frame: Frame) -> IntrinsicsEstimate:
        """The estimate at the size of this frame's image.

        Raises:
            InputError: mode `fixed`, and no calibration has come yet.
        """
        height, width = frame.image.shape[:2]
        start = self._start_camera(frame, width, height)
        if self.config.mode == "fixed":
            self._estimate = IntrinsicsEstimate(start, np.zeros((4, 4)), "fixed", 0, "fixed")
        elif self._observed:
            self._estimate = self._fused(start)
        else:
            self._estimate = self._uninitialised(start)
        return self._estimate

    def _start_camera(self, frame: Frame, width: int, height: int) -> PinholeCamera:
        """What is believed without observations: the given camera where the mode allows it."""
        if self.config.mode != "estimate" and frame.camera is not None:
            return frame.camera.resized(width, height)
        if self.config.mode != "estimate" and self._estimate is not None:
            return self._estimate.camera.resized(width, height)
        if self.config.mode == "fixed":
            raise InputError("intrinsics mode 'fixed' needs a calibration, and none was given yet")
        return PinholeCamera.default(width, height)

    def _uninitialised(self, camera: PinholeCamera) -> IntrinsicsEstimate:
        c = self.config
        given = c.mode == "prior"
        focal = (c.prior_focal_sigma if given else c.default_focal_sigma) * camera.width
        centre = (c.prior_centre_sigma if given else c.default_centre_sigma) * camera.width
        covariance = np.diag(np.square([focal, focal, centre, centre]))
        return IntrinsicsEstimate(camera, covariance, "uninitialised", 0, c.mode)

    def _fused(self, start: PinholeCamera) -> IntrinsicsEstimate:
        """Median and spread of the observations in pixels of the start camera."""
        c, observed = self.config, np.array(self._observed)
        middle = np.median(observed, axis=0)
        # 1.4826: the median absolute deviation of a normal distribution with sigma 1
        spread = 1.4826 * np.median(np.abs(observed - middle), axis=0)
        size = np.array([start.width, start.width, start.width, start.height])
        fx, fy = np.exp(middle[:2]) * start.width
        cx, cy = middle[2:] * size[2:] - 0.5
        sigma = spread * np.array([fx, fy, *size[2:]]) / np.sqrt(len(observed))
        steady = self._count >= c.converged_after and spread[0] < c.converged_spread
        state = "converged" if steady else "converging"
        camera = replace(start, fx=float(fx), fy=float(fy), cx=float(cx), cy=float(cy))
        return IntrinsicsEstimate(camera, np.diag(sigma**2), state, self._count, c.mode)
