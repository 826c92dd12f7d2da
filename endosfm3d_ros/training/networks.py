"""The four networks that are trained together, and which of them each step changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from endosfm3d_ros.networks.depth import DepthNetwork
from endosfm3d_ros.networks.flow import FlowNetwork
from endosfm3d_ros.networks.pose import PoseNetwork


@dataclass(frozen=True)
class TrainingNetworks:
    """Networks with their adapters active. Anything with the same call signatures will do."""

    depth: DepthNetwork
    pose: PoseNetwork
    optical_flow: FlowNetwork
    appearance_flow: FlowNetwork

    def modules(self) -> dict[str, nn.Module]:
        """The four by name."""
        return {
            "depth": self.depth,
            "pose": self.pose,
            "optical_flow": self.optical_flow,
            "appearance_flow": self.appearance_flow,
        }

    def components(self) -> dict[str, nn.Module]:
        """Modules by the names that the released checkpoints give them."""
        return {
            "depth_model": self.depth,
            "pose_encoder": self.pose.encoder,
            "pose": self.pose.decoder,
            "position_encoder": self.optical_flow.encoder,
            "position": self.optical_flow.decoder,
            "transform_encoder": self.appearance_flow.encoder,
            "transform": self.appearance_flow.decoder,
        }

    def to(self, device: torch.device) -> TrainingNetworks:
        """The same networks, moved in place."""
        for module in self.modules().values():
            module.to(device)
        return self

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Every tensor, by network."""
        return {name: module.state_dict() for name, module in self.modules().items()}

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Fill from what `state_dict` gave."""
        for name, module in self.modules().items():
            module.load_state_dict(state[name])

    def enter_flow_step(self) -> None:
        """Only the optical flow learns."""
        self._enter(self.optical_flow)

    def enter_depth_step(self) -> None:
        """Depth, pose and appearance flow learn."""
        self._enter(self.depth, self.pose, self.appearance_flow)

    def enter_evaluation(self) -> None:
        """Nothing learns; no dropout, stored batch statistics."""
        self._enter()

    def flow_parameters(self) -> list[nn.Parameter]:
        """What the flow step changes."""
        return list(self.optical_flow.parameters())

    def depth_parameters(self) -> list[nn.Parameter]:
        """What the depth step changes: adapters, depth head, pose and appearance flow."""
        adapters = [p for name, p in self.depth.named_parameters() if is_adapted(name)]
        return [*adapters, *self.pose.parameters(), *self.appearance_flow.parameters()]

    def _enter(self, *learning: nn.Module) -> None:
        """Training mode and gradients for these networks only."""
        for module in self.modules().values():
            learns = module in learning
            module.train(learns)
            for name, parameter in module.named_parameters():
                frozen = module is self.depth and not is_adapted(name)
                parameter.requires_grad_(learns and not frozen)


def is_adapted(name: str) -> bool:
    """Whether a parameter of the depth network learns: the adapters and the whole head."""
    return "lora_" in name or name.startswith("head.")
