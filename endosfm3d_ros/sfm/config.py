"""Settings of every part of the sfm stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.depth.shading import ShadingConfig
from endosfm3d_ros.sfm.depth.stereo import StereoConfig
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3DConfig
from endosfm3d_ros.sfm.features.degradation import DegradationConfig
from endosfm3d_ros.sfm.scale.normaliser import ScaleConfig
from endosfm3d_ros.sfm.scale.sources import ScaleSourcesConfig
from endosfm3d_ros.sfm.tracking.motion_config import MotionConfig

AUTO = "auto"  # the best depth source that the first frame can feed


@dataclass(frozen=True)
class EstimatorConfig:
    """Settings of every part of the stage."""

    depth_source: str = AUTO  # one of `depth_sources.NAMES`
    stereo: StereoConfig = field(default_factory=StereoConfig)
    shading: ShadingConfig = field(default_factory=ShadingConfig)
    network: EndoSfM3DConfig = field(default_factory=EndoSfM3DConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    intrinsics: IntrinsicsConfig = field(default_factory=IntrinsicsConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    scale_sources: ScaleSourcesConfig = field(default_factory=ScaleSourcesConfig)
    background: bool = False  # live: slow refinement beside the frames instead of in them
