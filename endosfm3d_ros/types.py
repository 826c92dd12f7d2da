"""Floor 1: what the stages hand to each other. Frozen; arrays inside are never written to.

Units are SI. Camera frames are optical (REP 103): x right, y down, z forward.
Time stamps are integer nanoseconds of the clock that stamped the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.store.snapshot import GaussianSnapshot
    from endosfm3d_ros.tools.stage import ToolsView


class Brief:
    """Shows arrays by shape and type: what stages hand on holds millions of numbers."""

    def __repr__(self) -> str:
        shown = []
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.ndarray) and value.size > 16:
                said = f"{value.dtype}{list(value.shape)}"
            elif isinstance(value, Brief) or len(repr(value)) < 200:
                said = repr(value)
            else:
                said = f"<{type(value).__name__}>"
            shown.append(f"{each.name}={said}")
        return f"{type(self).__name__}({', '.join(shown)})"


class ScaleSource(str, Enum):
    """Where metres come from. `RELATIVE` means that there are none."""

    STEREO = "stereo"
    TOPIC = "topic"
    KINEMATICS = "kinematics"
    TOOL_SHAFT = "tool_shaft"
    CONSTANT = "constant"
    RELATIVE = "relative"


class TrackingState(str, Enum):
    """Whether the pose of this frame can be believed."""

    INITIALISING = "initialising"
    TRACKING = "tracking"
    LOST = "lost"


@dataclass(frozen=True, repr=False)
class StereoGeometry(Brief):
    """A calibrated pair: rectified point = R_left @ raw left point; P carries the baseline.

    `R_*` are 3x3 and `P_*` 3x4 as in sensor_msgs/CameraInfo, so `P_right[0, 3] = -fx * baseline`.
    """

    left: PinholeCamera
    right: PinholeCamera
    R_left: np.ndarray
    P_left: np.ndarray
    R_right: np.ndarray
    P_right: np.ndarray

    @property
    def baseline(self) -> float:
        """Distance of the rectified optical centres in metres; positive for a right-hand eye."""
        return float(self.P_left[0, 3] - self.P_right[0, 3]) / float(self.P_left[0, 0])


@dataclass(frozen=True, repr=False)
class Frame(Brief):
    """One image and everything that came with it."""

    stamp: int
    image: np.ndarray  # (H, W, 3) uint8 RGB
    frame_id: str = "camera"
    camera: PinholeCamera | None = None  # as given from outside; None when absent
    right_image: np.ndarray | None = None  # (H, W, 3) uint8 RGB
    stereo: StereoGeometry | None = None
    depth: np.ndarray | None = None  # (H, W) float32 metres from outside, NaN invalid, of `image`
    tool_labels: np.ndarray | None = None  # (H, W) uint8, 0 = tissue, 1.. = tool id
    pose: np.ndarray | None = None  # 4x4 camera-to-world from outside (kinematics, reference)
    epoch: int = 0  # scene that it belongs to: live, a reset begins another one


@dataclass(frozen=True, repr=False)
class DepthMap(Brief):
    """Depth along z of an undistorted pinhole in the raw left optical frame."""

    depth: np.ndarray  # (H, W) float32 metres (or scale-free units), NaN invalid
    confidence: np.ndarray  # (H, W) float32 0..1, 0 where invalid
    camera: PinholeCamera
    source: str
    scale: ScaleSource
    stamp: int

    @property
    def valid(self) -> np.ndarray:
        """(H, W) bool: where the depth is a number."""
        return np.isfinite(self.depth)

    @cached_property
    def coverage(self) -> float:
        """Share of valid pixels, 0..1."""
        return float(self.valid.mean())


@dataclass(frozen=True)
class IntrinsicsEstimate:
    """The camera as the estimator believes it, with its covariance."""

    camera: PinholeCamera
    covariance: np.ndarray  # (4, 4) of fx fy cx cy in px^2
    state: str  # uninitialised | unobservable | converging | converged | changed | fixed | given
    count: int  # observations fused
    mode: str  # auto | estimate | prior | fixed


@dataclass(frozen=True)
class MotionPrior:
    """What a pose network reads from an image and the one before, unfiltered."""

    T_current_previous: np.ndarray  # 4x4, translation in the unit of the network
    camera: PinholeCamera | None  # that it sees, at the size of the image; None where implausible


@dataclass(frozen=True)
class ScaleEstimate:
    """Metres per unit of the stream, and who says so."""

    factor: float
    sigma: float  # of its logarithm
    source: ScaleSource
    count: int  # measurements that it rests on


@dataclass(frozen=True, repr=False)
class CameraPose(Brief):
    """Where the camera is. Both matrices map camera points into the named frame."""

    T_odom_camera: np.ndarray  # 4x4, never jumps
    T_map_odom: np.ndarray  # 4x4, may jump
    covariance: np.ndarray  # (6, 6) x y z rx ry rz in m^2, rad^2
    state: TrackingState
    inliers: int

    @property
    def T_map_camera(self) -> np.ndarray:
        """4x4 camera-to-map."""
        return self.T_map_odom @ self.T_odom_camera


@dataclass(frozen=True, repr=False)
class Cloud(Brief):
    """Coloured points with what they are worth; every array has N rows."""

    points: np.ndarray  # (N, 3) float32
    colors: np.ndarray  # (N, 3) uint8 RGB
    normals: np.ndarray  # (N, 3) float32 towards the camera, NaN where unknown
    confidence: np.ndarray  # (N,) float32 0..1
    labels: np.ndarray  # (N,) uint8, see CloudLabel


class CloudLabel(int, Enum):
    """What a point of the complete cloud is."""

    MEASURED = 0
    RETAINED = 1
    INFERRED = 2
    TOOL = 16  # 16 + tool id


@dataclass(frozen=True, repr=False)
class TissueView(Brief):
    """The tissue at the time of one image, instruments removed."""

    stamp: int
    camera: PinholeCamera  # of image and depth
    T_map_camera: np.ndarray  # 4x4 camera-to-map
    image: np.ndarray  # (h, w, 3) uint8 RGB, cracks closed, black where the map is empty
    covered: np.ndarray  # (h, w) bool: the image has a colour there
    depth: np.ndarray  # (h, w) float32 along z, NaN where the map is empty, in cracks too
    gaussians: GaussianSnapshot  # that image and depth were rendered from
    state: TrackingState  # LOST: the map is held as it was
    steps: int  # of refinement that this frame got

    @cached_property
    def cloud(self) -> Cloud:
        """In the map frame; made when first asked for, as most frames are not published."""
        return self.gaussians.cloud()


@dataclass(frozen=True)
class StageReport:
    """What the stages say of themselves after one frame, for status messages."""

    backend: str = "none"  # what runs the networks
    intrinsics_mode: str = ""
    k_seen_by: str = ""  # stages that read the given calibration, comma separated
    notes: tuple[str, ...] = ()  # what the user should know about the choice of source
    quality: str = ""  # how much detail the scene gets now


@dataclass(frozen=True, repr=False)
class SceneUpdate(Brief):
    """Everything that one image produced; all parts share its stamp.

    `lens` is the camera of `frame.image`, decided once, where the depth source is chosen. Nobody
    else may ask which calibration came along: whether it was used is what `lens` says.
    """

    frame: Frame  # as it came
    image: np.ndarray  # (H, W, 3) uint8 RGB as the camera of `depth` sees it, of its size
    depth: DepthMap
    intrinsics: IntrinsicsEstimate
    pose: CameraPose
    lens: PinholeCamera = field(kw_only=True)  # of `frame.image`, distortion included
    timings: dict[str, float] = field(default_factory=dict)  # stage -> milliseconds
    tissue: TissueView | None = None  # None where the map is switched off
    tools: ToolsView | None = None  # None where instruments are not looked for
    scale: ScaleEstimate | None = None  # None while depth and motion are relative
    labels: np.ndarray | None = None  # (H, W) uint8 as Frame.tool_labels, of the pixels of `image`
    motion_prior: MotionPrior | None = None  # None where no pose network looked at this image
    report: StageReport = StageReport()

    @property
    def unit(self) -> float:
        """Metres, as believed now, per unit that the stream began with; 1 without a scale."""
        return 1.0 if self.scale is None else self.scale.factor
