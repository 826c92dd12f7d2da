"""Settings of the tissue map: its own, and those of every step."""

from __future__ import annotations

from dataclasses import dataclass, field

from endosfm3d_ros.tissue.appearance.refinement import RefinementConfig
from endosfm3d_ros.tissue.camera.map_keyframes import KeyframeConfig
from endosfm3d_ros.tissue.camera.registration import RegistrationConfig
from endosfm3d_ros.tissue.camera.scale_alignment import AlignmentConfig
from endosfm3d_ros.tissue.coverage.densification import DensificationConfig
from endosfm3d_ros.tissue.coverage.density import DensityConfig
from endosfm3d_ros.tissue.coverage.fusion import FusionConfig
from endosfm3d_ros.tissue.coverage.maintenance import MaintenanceConfig
from endosfm3d_ros.tissue.deformation.graph import GraphConfig
from endosfm3d_ros.tissue.deformation.model_flow import FlowConfig
from endosfm3d_ros.tissue.deformation.solver import DeformationConfig
from endosfm3d_ros.tissue.observation import ValidityConfig


@dataclass(frozen=True)
class TissueConfig:
    """Settings of the map and of every step."""

    width: int = 320  # px; the working size, whatever the camera's is
    capacity: int = 80_000  # Gaussians; 9 MB
    history: int = 300  # frames that the map can be rewound
    min_support: float = 0.5  # share of the view that must agree for the map to track by itself
    mismatch: float = 0.15  # mean absolute colour difference (0..1) of a map that does not fit ...
    mismatch_frames: int = 10  # ... and after so many such frames in a row it starts anew
    validity: ValidityConfig = field(default_factory=ValidityConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    deformation: DeformationConfig = field(default_factory=DeformationConfig)
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    density: DensityConfig = field(default_factory=DensityConfig)
    densification: DensificationConfig = field(default_factory=DensificationConfig)
    maintenance: MaintenanceConfig = field(default_factory=MaintenanceConfig)

    @classmethod
    def fine(cls) -> TissueConfig:
        """For offline processing: twice as many Gaussians, which a live stream has no time for."""
        return cls(
            capacity=150_000,
            density=DensityConfig(mean=1.35, spacings=(0.71, 1.0, 1.41, 2.0, 2.83), default=2),
        )
