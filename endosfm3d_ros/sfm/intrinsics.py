"""Which camera the estimator believes in.

Modes: `estimate` starts at 0.82 of the width and never reads a given calibration; `prior` starts
at the given one and may move away from it; `fixed` takes the given one as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from endosfm3d_ros.errors import ConfigurationError
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

    def update(self, frame: Frame) -> IntrinsicsEstimate:
        """The estimate at the size of this frame's image."""
        height, width = frame.image.shape[:2]
        camera = self._given(frame)
        if camera is None and self._estimate is None:
            camera = PinholeCamera.default(width, height)
        if camera is not None:
            self._estimate = self._start(camera)
        if self._estimate.camera.size != (width, height):
            self._estimate = self._start(self._estimate.camera.resized(width, height))
        return self._estimate

    def _given(self, frame: Frame) -> PinholeCamera | None:
        """The calibration that came with the frame, where the mode allows reading it."""
        if self.config.mode == "estimate" or frame.camera is None:
            return None
        height, width = frame.image.shape[:2]
        return frame.camera.resized(width, height)

    def _start(self, camera: PinholeCamera) -> IntrinsicsEstimate:
        c = self.config
        if c.mode == "fixed":
            return IntrinsicsEstimate(camera, np.zeros((4, 4)), "fixed", 0, c.mode)
        given = c.mode == "prior"
        focal = (c.prior_focal_sigma if given else c.default_focal_sigma) * camera.width
        centre = (c.prior_centre_sigma if given else c.default_centre_sigma) * camera.width
        covariance = np.diag(np.square([focal, focal, centre, centre]))
        return IntrinsicsEstimate(camera, covariance, "uninitialised", 0, c.mode)
