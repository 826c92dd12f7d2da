"""The full depth network from random weights, on a CUDA card that also renders its images.

A plan for one data-centre card; the convolutional student stays the default until this one has
proven better on real video (transformers need many images).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.depth import DepthNetwork, DepthNetworkConfig
from endosfm3d_ros.training.supervised.bank import Renderer, simulator
from endosfm3d_ros.training.supervised.depth import DepthLossConfig, augmented, shape_loss
from endosfm3d_ros.training.supervised.loop import Schedule, Task, generator_of


@dataclass(frozen=True)
class LargeDepthTask(Task):
    """`DepthNetwork` on images that are rendered for each step and never kept.

    Args:
        size: (height, width), multiples of 14 so that the patches cover the image.
        device: of network and simulator.
        architecture: of the network.
        config: weights of the loss.
        coarse: weight of the second finest disparity, which the confidence is read from.
        render: the simulator.
    """

    size: tuple[int, int] = (252, 322)
    device: str = "cuda"
    architecture: DepthNetworkConfig = field(default_factory=DepthNetworkConfig)
    config: DepthLossConfig = field(default_factory=DepthLossConfig)
    coarse: float = 0.3
    render: Renderer = simulator
    name = "depth_model"

    def network(self) -> nn.Module:
        return DepthNetwork(self.architecture)

    def batch(self, step: int, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) images in [0, 1] and (B, 1, H, W) depth in units of a step."""
        seed = int(np.random.SeedSequence((schedule.seed, step)).generate_state(1)[0]) % 2**31
        sample = self.render(seed, schedule.batch, 1, *self.size, self.device)
        random = generator_of(schedule.seed, step, self.device)
        return augmented(sample.images, sample.depth, random, self.config.zoom)

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        image, depth = batch
        height, width = self.size
        *_, coarse, fine = network.levels(image)
        terms, _ = shape_loss(network.head(fine, (height, width)).float(), depth, self.config)
        small = (height // 2, width // 2)
        reduced = F.interpolate(depth, small, mode="nearest")
        rest, _ = shape_loss(network.head(coarse, small).float(), reduced, self.config)
        loss = terms["loss"] + self.coarse * rest["loss"]
        return terms | {"coarse": rest["data"], "loss": loss}


def gpu_schedule(steps: int, batch: int, seed: int) -> Schedule:
    """A transformer wants a lower rate and a longer rise than the small networks."""
    return Schedule(steps, batch, rate=3e-4, warm_up=500, weight_decay=0.05, seed=seed)
