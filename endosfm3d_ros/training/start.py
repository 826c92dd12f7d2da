"""The networks as a training finds them: from weights where there are any, else from chance."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_files import read_tensors
from endosfm3d_ros.networks.checkpoints import flow_network, load_depth_network, load_pose_network
from endosfm3d_ros.networks.flow import (
    APPEARANCE_FLOW,
    OPTICAL_FLOW,
    FlowNetwork,
    FlowNetworkConfig,
)
from endosfm3d_ros.networks.pose import PoseNetwork
from endosfm3d_ros.sfm.endosfm3d.weights import WeightSet
from endosfm3d_ros.training.adapters import attach_peft_adapters
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.recipes import Recipe

FLOW_SPREAD = 1e-5  # standard deviation of the first flow heads: no motion at the beginning


def initial_networks(weights: WeightSet, recipe: Recipe) -> TrainingNetworks:
    """The four networks, with fresh adapters on the depth network.

    Depth comes from the weight set, with an adapter of its own merged. Pose and flow come from it
    where it has them; otherwise they begin at random, drawn from the seed of the recipe.

    Raises:
        ConfigurationError: the set has no depth network of this kind, or peft is not installed.
    """
    if weights.is_student:
        raise ConfigurationError(
            f"weight set '{weights.name}' is a small network without attention layers to adapt: "
            "give --weights a folder with EndoSfM3D or Depth Anything V2 Small (model.safetensors)"
        )
    torch.manual_seed(recipe.seed)
    depth = load_depth_network(weights.folder)
    attach_peft_adapters(depth, recipe.adapter)
    pose = load_pose_network(weights.folder) if weights.has_pose else fresh_pose(recipe)
    return TrainingNetworks(
        depth=depth,
        pose=pose,
        optical_flow=_flow(weights.folder, "position", OPTICAL_FLOW),
        appearance_flow=_flow(weights.folder, "transform", APPEARANCE_FLOW),
    )


def fresh_pose(recipe: Recipe) -> PoseNetwork:
    """A pose network at random; with `initial_focal` its camera begins there, and centred."""
    network = PoseNetwork()
    if recipe.initial_focal is not None:
        height, width = recipe.image_size
        focal = recipe.initial_focal
        bias = torch.tensor([focal - 0.5, focal * width / height - 0.5, 0.0, 0.0])
        with torch.no_grad():
            network.decoder.camera3.bias.copy_(bias)
    return network


def fresh_flow(config: FlowNetworkConfig) -> FlowNetwork:
    """A flow network at random; optical flow begins with hardly any motion."""
    network = FlowNetwork(config)
    if not config.bounded:
        for head in network.decoder.heads:
            nn.init.normal_(head.weight, std=FLOW_SPREAD)
            nn.init.zeros_(head.bias)
    return network


def _flow(folder: Path, name: str, config: FlowNetworkConfig) -> FlowNetwork:
    """A flow network from `<name>_encoder.pth` and `<name>.pth`, or at random."""
    files = [folder / f"{name}_encoder.pth", folder / f"{name}.pth"]
    if not all(file.is_file() for file in files):
        return fresh_flow(config)
    encoder, decoder = (read_tensors(file) for file in files)
    return flow_network(config, encoder, decoder, str(folder))
