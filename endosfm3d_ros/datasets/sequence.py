"""What every recording looks like to the rest of the package.

Reference data (depth, poses, masks) never enters the `Frame`s by itself: a frame holds what a
live camera would give, so an evaluation cannot feed a method its own answers by accident.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from endosfm3d_ros.datasets.formats.surface_truth import Surface
from endosfm3d_ros.datasets.formats.tool_truth import ToolMesh, ToolPosture
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame, StereoGeometry

__all__ = ["LEFT_FRAME", "PART_STEP", "RIGHT_FRAME", "Sequence", "open_sequence", "stamp_of"]
PART_STEP = 10  # between the codes of instrument parts in files, as in EndoVis 2017
LEFT_FRAME = "endoscope_left_optical_frame"
RIGHT_FRAME = "endoscope_right_optical_frame"


class Sequence(ABC):
    """Frames in time order, with reference values where the recording has them.

    References are asked for by position `i`, 0 .. len - 1, in the order of iteration; `None`
    means that there is none. All are in the pixels of `Frame.image`.

    Attributes:
        name: short name for reports.
        fps: frames per second, the nominal rate.
        camera: the left (or only) camera; None when the recording has no calibration.
        stereo: the pair; None for one eye.
        poses_metric: whether `reference_pose` is in metres rather than in a scale of its own.
        report: what was converted, assumed, refused or missed when it was opened.
    """

    name: str
    fps: float
    camera: PinholeCamera | None = None
    stereo: StereoGeometry | None = None
    poses_metric: bool = True
    report: InputReport

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def number(self, i: int) -> int:
        """The frame number that the recording itself uses in file names and tables."""
        return i

    def reference_depth(self, i: int) -> np.ndarray | None:
        """(H, W) float32 metres along z of the left camera, NaN unknown."""
        return None

    def reference_pose(self, i: int) -> np.ndarray | None:
        """4x4 camera-to-world of the left camera."""
        return None

    def mask(self, i: int) -> np.ndarray | None:
        """(H, W) bool, True on instruments."""
        return None

    def instances(self, i: int) -> np.ndarray | None:
        """(H, W) uint8, 0 = tissue, 1.. = instrument."""
        return None

    def parts(self, i: int) -> np.ndarray | None:
        """(H, W) uint8, 0 = tissue, 1 shaft, 2 wrist, 3 jaws."""
        return None

    def reference_camera(self, i: int) -> PinholeCamera | None:
        """The left camera at this frame, where it is known to differ from `camera`."""
        return None

    def tool_meshes(self) -> dict[int, ToolMesh]:
        """Instrument surfaces by label, each in its own frame."""
        return {}

    def tool_poses(self, i: int) -> dict[int, np.ndarray]:
        """4x4 instrument in the left camera by label, metres."""
        return {}

    def tool_postures(self, i: int) -> dict[int, ToolPosture]:
        """How the joints of each instrument stand, left camera, by label."""
        return {}

    def tool_clearances(self, i: int) -> dict[int, float]:
        """Smallest distance in metres between each instrument and the tissue, by label."""
        return {}

    def surface(self, i: int) -> Surface | None:
        """The true surface that frame `i` or one before it shows, as it is in frame `i`."""
        return None

    def image_without_tools(self, i: int) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB, the picture of frame `i` as it would be without instruments."""
        return None

    def ignore(self, i: int) -> np.ndarray | None:
        """(H, W) bool, True where a mask must not be scored."""
        return None

    def mask_valid(self, i: int) -> bool:
        """Whether the mask of this frame is good enough to be scored."""
        return self.mask(i) is not None


def stamp_of(position: int, fps: float, start: int = 0) -> int:
    """Stamp in nanoseconds of the frame `position` intervals after `start`."""
    return start + round(position * 1_000_000_000 / fps)
