"""Values and gradients of the two losses, by component of the released checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from endosfm3d_ros.evaluation.parity.check import Check, close, scaled
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays
from endosfm3d_ros.evaluation.parity.training_step import NEIGHBOURS, run_networks
from endosfm3d_ros.networks.checkpoint_keys import COMPONENT_KEYS, unwrapped
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.recipes import LossWeights
from endosfm3d_ros.training.self_supervision import depth_loss, flow_loss

TRAINED = {  # components whose parameters ask for a gradient in each step
    "position": ("position_encoder", "position"),
    "depth": (
        "depth_model",
        "pose_encoder",
        "pose",
        "position_encoder",
        "position",
        "transform_encoder",
        "transform",
    ),
}
LOSS = {"rtol": 1e-4, "atol": 1e-8}
GRADIENT = 2e-3  # scaled; the reference differs by 7e-5 between one and two threads


def checks(networks: TrainingNetworks, pose: GoldenArrays, golden: GoldenArrays) -> Iterator[Check]:
    """Both steps in the order of the training."""
    for step in TRAINED:
        losses = step_losses(step, networks, pose)
        total = losses.mean()
        total.backward()
        yield close(f"{step}_loss_scales", losses, golden[f"{step}_loss_scales"], **LOSS)
        yield close(f"{step}_loss", total, golden[f"{step}_loss"], **LOSS)
        yield close(f"grad_{step}_loss", total, golden[f"grad_{step}_loss"], **LOSS)
        yield from gradient_checks(step, networks.components(), golden)


def step_losses(step: str, networks: TrainingNetworks, pose: GoldenArrays) -> Tensor:
    """(4,) losses of one step, with gradients enabled for its components only."""
    for name, module in networks.components().items():
        module.requires_grad_(name in TRAINED[step]).zero_grad()
    triplet = run_networks(networks, pose)
    views = [triplet.views[frame] for frame in NEIGHBOURS]
    if step == "position":
        return flow_loss(views, triplet.target, LossWeights())
    warped = [triplet.warped[frame] for frame in NEIGHBOURS]
    return depth_loss(views, warped, triplet.disparities, triplet.target, LossWeights())


def gradient_checks(
    step: str, components: dict[str, nn.Module], golden: GoldenArrays
) -> Iterator[Check]:
    """Norm per component, and the tensors that the folder holds in full."""
    norms = torch.stack([gradient_norm(components[str(n)]) for n in golden["grad_components"]])
    expected = golden[f"grad_{step}_norms"]
    yield close(f"grad_{step}_norms", norms, expected, rtol=GRADIENT, atol=1e-12)
    for array in golden:
        component, _, key = array.removeprefix(f"grad_{step}_").partition(".")
        if not array.startswith(f"grad_{step}_") or component not in components:
            continue
        own = COMPONENT_KEYS[component].own(unwrapped(key))
        parameters = dict(components[component].named_parameters())
        name = own if own in parameters else own.partition(".")[2]  # table names the whole network
        yield scaled(array, parameters[name].grad, golden[array], GRADIENT)


def gradient_norm(module: nn.Module) -> Tensor:
    """L2 norm over all parameters that received a gradient; summed in float64."""
    squares = (p.grad.double().square().sum() for p in module.parameters() if p.grad is not None)
    return sum(squares, start=torch.zeros((), dtype=torch.float64)).sqrt()
