"""Runs all seven networks on the golden triplet, in the way the released training does."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.evaluation.parity.pose import NEIGHBOURS, network_pair
from endosfm3d_ros.networks.camera_motion import motion_matrix, released_intrinsics
from endosfm3d_ros.networks.checkpoints import (
    adapted_depth_network,
    depth_tensors,
    flow_network,
    pose_network,
)
from endosfm3d_ros.networks.flow import APPEARANCE_FLOW, OPTICAL_FLOW
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.self_supervision import SourceView, observe, synthesise


@dataclass(frozen=True)
class Triplet:
    """A target with its two neighbours and everything predicted for them."""

    target: Tensor  # (1, 3, H, W)
    sources: dict[str, Tensor]  # by neighbour, (1, 3, H, W)
    views: dict[str, SourceView]
    disparities: tuple[Tensor, ...]
    motions: dict[str, Tensor]  # (1, 4, 4) target to neighbour
    K: Tensor  # (1, 3, 3) of the last pair, as released, for both neighbours
    warped: dict[str, tuple[Tensor, ...]]


def load_networks(folder: GoldenFolder) -> TrainingNetworks:
    """The networks with the weights of the folder's seed."""
    source = "golden weights"
    pose, position, transform = (
        (folder.weights(f"{name}_encoder"), folder.weights(name), source)
        for name in ("pose", "position", "transform")
    )
    return TrainingNetworks(
        adapted_depth_network(depth_tensors(folder.weights("depth_model"))),
        pose_network(*pose),
        flow_network(OPTICAL_FLOW, *position),
        flow_network(APPEARANCE_FLOW, *transform),
    )


def run_networks(networks: TrainingNetworks, pose: GoldenArrays) -> Triplet:
    """Everything that enters the two losses."""
    target = pose.image("image_0_u8")
    sources = {frame: pose.image(f"image_{frame}_u8") for frame in NEIGHBOURS}
    height, width = target.shape[-2:]
    motions = {}
    for frame, source in sources.items():
        axisangle, translation, q = networks.pose(network_pair(source, target))
        motions[frame] = motion_matrix(axisangle, translation)
    K = released_intrinsics(q, width, height)[:, :3, :3]
    disparities = networks.depth(target)
    flows = networks.optical_flow, networks.appearance_flow
    return Triplet(
        target=target,
        sources=sources,
        views={frame: observe(*flows, source, target) for frame, source in sources.items()},
        disparities=disparities,
        motions=motions,
        K=K,
        warped={
            frame: synthesise(source, disparities, K, motions[frame])
            for frame, source in sources.items()
        },
    )
