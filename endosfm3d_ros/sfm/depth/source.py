"""What every depth source offers, whatever it is made of."""

from __future__ import annotations

from typing import Protocol

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import DepthMap, Frame


class DepthSource(Protocol):
    """Depth of one frame in its raw left optical frame.

    `camera` is `lens` at the size of `frame.image`; the returned map has a camera of its own.
    """

    name: str
    takes_raw: bool  # False: its images must be those of a pinhole, without distortion

    def lens(self, frame: Frame, believed: PinholeCamera) -> PinholeCamera:
        """The camera of `frame.image` as it came; `believed` is the intrinsics estimate.

        Raises:
            InputError: the source cannot work on this frame.
        """

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """Depth, confidence and the undistorted pinhole that they belong to."""

    def reset(self) -> None:
        """Forget everything learnt from earlier frames."""
