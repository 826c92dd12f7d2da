"""DoRA moves the starter depth network to other light while training under 2 % of its parameters.

The new domain is flood-lit: the falloff of the lamp, which the network leans on, is taken out of
the same simulated scenes with the help of their depth.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from endosfm3d_ros.datasets.simulation.batch import random_batch
from endosfm3d_ros.networks.depth import scaled_disparity
from endosfm3d_ros.networks.student_checkpoints import load_depth_student
from endosfm3d_ros.training.supervised.depth import DepthLossConfig, depth_loss

STARTER = Path(str(files("endosfm3d_ros"))) / "weights" / "starter" / "depth.safetensors"
UNIT = 0.1  # m


def flood_lit(seed, count):
    """(N, 3, H, W) images in [0, 1] without falloff, and (N, 1, H, W) depth in units."""
    batch = random_batch(seed, count, 1, 128, 160)
    depth = batch.depth / UNIT
    linear = (batch.images[:, 0] / 255) ** 2.2
    light = (depth / depth.flatten(2).median(dim=2).values[..., None, None]) ** 2
    return (linear * light).clamp(0, 1) ** (1 / 2.2), depth


@torch.no_grad()
def abs_rel(network, images, depth):
    """Mean error after the scale of each image was fitted by medians."""
    found = 1 / scaled_disparity(torch.sigmoid(network(images)[0]))
    scale = (depth.flatten(1).median(1).values / found.flatten(1).median(1).values)[:, None]
    return ((scale * found.flatten(1) / depth.flatten(1)) - 1).abs().mean().item()


@pytest.mark.slow
def test_adaptation_to_other_light_gains_a_fifth():
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = load_depth_student(STARTER)
    total = sum(p.numel() for p in network.parameters())
    test_images, test_depth = flood_lit(9001, 64)
    before = abs_rel(network, test_images, test_depth)
    # 1 adapters beside every 3 x 3 convolution but the head; batch norms stay as they are
    wanted = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3) and "head" not in name
    ]
    config = peft.LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=wanted)
    peft.inject_adapter_in_model(config, network)
    trained = [p for p in network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) < 0.02 * total
    # 2 a few hundred steps on the new light
    optimiser = torch.optim.Adam(trained, lr=4e-3)
    images, depth = flood_lit(1, 768)
    steps, random = 240, torch.Generator().manual_seed(0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        index = torch.randint(len(images), (16,), generator=random)
        logit, log_error = network(images[index])
        loss = depth_loss(logit, log_error, depth[index], DepthLossConfig())["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # 3 images never seen
    after = abs_rel(network, test_images, test_depth)
    assert after < 0.8 * before, f"{before:.3f} -> {after:.3f}"
