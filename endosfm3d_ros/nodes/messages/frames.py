"""TF names of an output."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class FrameNames:
    """map -> odom -> camera."""

    map: str = "endoscope_map"
    odom: str = "endoscope_odom"
    camera: str = "endoscope_left_optical_frame"

    def at(self, camera: str) -> FrameNames:
        """The same names with another camera frame."""
        return replace(self, camera=camera)
