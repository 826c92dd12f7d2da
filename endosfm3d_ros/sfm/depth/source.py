"""What every depth source offers, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import DepthMap, Frame, IntrinsicsEstimate


@dataclass(frozen=True)
class IntrinsicsObservation:
    """What a source read of the camera from a pair of frames; noisy, to be filtered."""

    camera: PinholeCamera  # at the size of the frame, without distortion
    stamp: int  # of the later frame
    independent: bool = True  # False: it began from a camera that was told, which it repeats


class DepthSource(ABC):
    """Depth of one frame in its raw left optical frame.

    `camera` is `lens` at the size of `frame.image`; the returned map has a camera of its own.
    """

    name: ClassVar[str]
    takes_raw: ClassVar[bool] = False  # False: images are those of a pinhole, without distortion
    reads_calibration: ClassVar[bool] = False  # the given one, whatever the intrinsics mode
    foresees_motion: ClassVar[bool] = False  # True: `motion_prior` may have something to say
    sees_surround: ClassVar[bool] = False  # True: depth may be known where the picture is black

    def lens(self, frame: Frame, believed: PinholeCamera) -> PinholeCamera:
        """The camera of `frame.image` as it came; `believed` is the intrinsics estimate.

        Raises:
            InputError: the source cannot work on this frame.
        """
        return believed

    @abstractmethod
    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """Depth, confidence and the undistorted pinhole that they belong to."""

    def motion_prior(
        self, frame: Frame, known: IntrinsicsEstimate | None = None
    ) -> tuple[np.ndarray, IntrinsicsObservation | None] | None:
        """T_current_previous (4x4) in the unit of the depth, and the camera that it saw.

        None where it says nothing of the motion since the last frame. `known` is the camera that
        is believed in.
        """
        return None

    def match_at(self, share: float) -> None:  # noqa: B027 (most do not match)
        """Work at this share of the configured width from the next frame on, where it matters."""

    @property
    def notes(self) -> list[str]:
        """What the user should know about it."""
        return []

    @property
    def backend(self) -> str:
        """What runs its networks."""
        return "none"

    def reset(self) -> None:  # noqa: B027 (most keep nothing)
        """Forget everything learnt from earlier frames."""
