"""Settings of the camera's motion."""

from __future__ import annotations

from dataclasses import dataclass, field

from endosfm3d_ros.sfm.tracking.bridge import BridgeConfig
from endosfm3d_ros.sfm.tracking.keyframe_window import WindowConfig
from endosfm3d_ros.sfm.tracking.localisation import LocalisationConfig
from endosfm3d_ros.sfm.tracking.relocalisation import RelocalisationConfig
from endosfm3d_ros.sfm.tracking.rest import RestConfig
from endosfm3d_ros.sfm.tracking.tissue_motion import TissueMotionConfig
from endosfm3d_ros.sfm.tracking.two_view import TwoViewConfig


@dataclass(frozen=True)
class MotionConfig:
    """Values for 5 to 60 frames a second at 640 px; lengths in px refer to that width."""

    max_width: int = 640  # px; wider images are tracked at this width
    points: int = 400  # corners per key frame
    spacing: float = 10.0  # px between two corners
    quality: float = 0.005  # share of the strongest corner's response
    keyframe_share: float = 0.6  # fewer of its points still seen make a new key frame
    keyframe_flow: float = 64.0  # px; so does a larger median motion since
    handed_on: float = 1.5  # px off the pose, up to which a point of one eye joins a new key frame
    refinement_rest: float = 4.0  # times what an adjustment waited for a core, until the next one
    first_refinement: float = 8.0  # px of flow at which the depth of a single eye is put right
    refinement_growth: float = 1.6  # and again at each larger flow by this factor
    recalibration: float = 0.005  # change of the camera, as a share, that key frames follow
    max_step: float = 0.03  # m between two frames: a scope does not move faster
    max_turn: float = 0.35  # rad between two frames
    min_confidence: float = 0.05  # of the depth under a corner
    highlight: int = 230  # grey level of the darkest channel
    dark: int = 12  # grey level of the brightest channel
    restart_after: float = 0.5  # s lost, after which tracking starts anew at the held pose ...
    restart_frames: int = 3  # ... and so many frames at least
    metric_depth_sigma: float = (
        0.002  # relative; stereo, whose errors are independent of the tracks'
    )
    relative_depth_sigma: float = 0.2  # relative; of a single eye, until it is put right
    lost_inflation: float = 4.0  # factor on the covariance for every frame that is lost
    adrift: int = 20  # key frames after a start anew, in which a place from before is looked for
    relocalisation: RelocalisationConfig = field(default_factory=RelocalisationConfig)
    two_view: TwoViewConfig | None = field(default_factory=TwoViewConfig)  # None: guess the shape
    localisation: LocalisationConfig = field(default_factory=LocalisationConfig)
    bridge: BridgeConfig = field(default_factory=BridgeConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    tissue: TissueMotionConfig = field(default_factory=TissueMotionConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
