"""Floor 2: the networks of EndoSfM3D in plain torch, and the loaders of their checkpoints."""

from endosfm3d_ros.networks.camera_motion import (
    intrinsics_from_q,
    motion_matrix,
    released_intrinsics,
)
from endosfm3d_ros.networks.checkpoints import load_depth_network, load_pose_network
from endosfm3d_ros.networks.depth import DepthNetwork, DepthNetworkConfig, disparity_to_depth
from endosfm3d_ros.networks.dora import DoRAConfig, DoRALinear
from endosfm3d_ros.networks.flow import (
    APPEARANCE_FLOW,
    OPTICAL_FLOW,
    FlowNetwork,
    FlowNetworkConfig,
)
from endosfm3d_ros.networks.pose import PoseNetwork, PoseNetworkConfig

__all__ = [
    "APPEARANCE_FLOW",
    "OPTICAL_FLOW",
    "DepthNetwork",
    "DepthNetworkConfig",
    "DoRAConfig",
    "DoRALinear",
    "FlowNetwork",
    "FlowNetworkConfig",
    "PoseNetwork",
    "PoseNetworkConfig",
    "disparity_to_depth",
    "intrinsics_from_q",
    "load_depth_network",
    "load_pose_network",
    "motion_matrix",
    "released_intrinsics",
]
