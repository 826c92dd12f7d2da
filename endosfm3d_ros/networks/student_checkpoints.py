"""Loads the small networks from the files that their training writes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import nn

from endosfm3d_ros.networks.checkpoint_files import read_tensors
from endosfm3d_ros.networks.checkpoints import fill_exactly
from endosfm3d_ros.networks.pose_student import PoseStudent
from endosfm3d_ros.networks.students import DepthStudent, ToolStudent

Network = TypeVar("Network", bound=nn.Module)
COUNTER = "num_batches_tracked"  # of batch norms: not stored, not used


def load_depth_student(path: Path) -> DepthStudent:
    """Depth network in evaluation mode.

    Raises:
        ConfigurationError: no readable file, or missing, extra or misshaped tensors.
    """
    return filled(DepthStudent(), path)


def load_pose_student(path: Path, size: tuple[int, int]) -> PoseStudent:
    """Pose network for images of (height, width) `size` in evaluation mode; raises the same."""
    return filled(PoseStudent(size=size), path)


def load_tool_student(path: Path) -> ToolStudent:
    """Segmentation network in evaluation mode; raises the same."""
    return filled(ToolStudent(), path)


def filled(network: Network, path: Path) -> Network:
    """The network with the tensors of a file, which are stored in half precision."""
    tensors = {name: value.float() for name, value in read_tensors(path).items()}
    counters = {k: v for k, v in network.state_dict().items() if k.endswith(COUNTER)}
    fill_exactly(network, tensors | counters, [], str(path))
    return network.eval()
