"""What every depth source offers, whatever it is made of."""

from __future__ import annotations

from typing import Protocol

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import DepthMap, Frame


class DepthSource(Protocol):
    """Depth of one frame in its raw left optical frame.

    `camera` is the intrinsics estimate at the size of `frame.image`; a source that knows better
    (stereo) answers with a camera of its own in the returned map.
    """

    name: str

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """Depth, confidence and the undistorted pinhole that they belong to."""

    def reset(self) -> None:
        """Forget everything learnt from earlier frames."""
