"""A training small enough for tests: networks of a few thousand weights, a clip of moving noise.

Run as a script it trains in the folder of its argument until somebody kills it.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional as F

from endosfm3d_ros.networks.depth import DepthNetwork, DepthNetworkConfig
from endosfm3d_ros.networks.dinov2 import Dinov2Config
from endosfm3d_ros.training.adapters import attach_peft_adapters
from endosfm3d_ros.training.frames import PreparedClip
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.recipes import OURS, RELEASED, Optimisation
from endosfm3d_ros.training.trainer import Trainer, TrainerSettings
from endosfm3d_ros.training.triplets import split_by_time

DEPTH = (56, 70)  # (height, width)
STEP_PX = 3  # the scene moves so far from frame to frame


def tiny(recipe, **changes):
    """The recipe at sizes and learning rates of the tiny networks."""
    values = {
        "image_size": (112, 112) if recipe.per_pixel else (176, 176),
        "depth_size": DEPTH,
        "batch_size": 1,
        "epochs": 20,
        "flow": Optimisation(learning_rate=3e-2),
        "depth": Optimisation(learning_rate=3e-3),
    }
    return dataclasses.replace(recipe, **(values | changes))


TINY_OURS, TINY_RELEASED = tiny(OURS), tiny(RELEASED)


class TinyOpticalFlow(nn.Module):
    """The shift of the whole image by least squares (Lucas and Kanade 1981), times a matrix."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Linear(2, 2)
        nn.init.constant_(self.gain.weight, 0.1)

    def forward(self, pair):
        source, target = (image.mean(dim=1) for image in pair.chunk(2, dim=1))
        slopes = torch.stack(torch.gradient(source, dim=(1, 2)), dim=-1).flatten(1, 2)
        change = (target - source).flatten(1)[..., None]
        shift = self.gain(torch.linalg.lstsq(slopes, change).solution[..., 0])  # (B, 2) y, x
        height, width = pair.shape[-2:]
        return tuple(
            shift[..., None, None].expand(-1, -1, height >> s, width >> s) for s in range(4)
        )


class TinyAppearanceFlow(nn.Module):
    """Pair of frames to a coarse brightness change at four sizes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 3, 9, stride=8, padding=4)
        nn.init.normal_(self.conv.weight, std=1e-3)
        nn.init.zeros_(self.conv.bias)

    def forward(self, pair):
        coarse, (height, width) = torch.tanh(self.conv(pair)), pair.shape[-2:]
        return tuple(
            F.interpolate(coarse, (height >> s, width >> s), mode="bilinear") for s in range(4)
        )


class TinyPose(nn.Module):
    """Pair of frames to axis-angle, translation and camera."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(6, 8, 9, stride=8, padding=4)
        self.decoder = nn.Linear(8, 10)

    def forward(self, pair):
        out = self.decoder(F.elu(self.encoder(pair)).mean(dim=(2, 3)))
        return 0.01 * out[:, :3], 0.01 * out[:, 3:6], 0.3 + 0.1 * out[:, 6:]


def tiny_networks(recipe, seed=0):
    torch.manual_seed(seed)
    backbone = Dinov2Config(
        width=24, heads=2, layers=4, mlp_ratio=2, trained_grid=5, output_layers=(1, 2, 3, 4)
    )
    depth = DepthNetwork(DepthNetworkConfig(backbone, (8, 8, 8, 8), 8, 8))
    attach_peft_adapters(depth, recipe.adapter)
    return TrainingNetworks(depth, TinyPose(), TinyOpticalFlow(), TinyAppearanceFlow())


def moving_clip(size, frames=12, seed=0):
    """Smooth noise that moves to the left, with a strip that is no tissue."""
    rng = np.random.default_rng(seed)
    height, width = size
    wide = gaussian_filter(rng.random((height, width + STEP_PX * frames, 3)), (4, 4, 0))
    wide = ((wide - wide.min()) / np.ptp(wide) * 255).astype(np.uint8)
    images = np.stack([wide[:, STEP_PX * i : STEP_PX * i + width] for i in range(frames)])
    rows = np.arange(DEPTH[0]) * height // DEPTH[0]
    columns = np.arange(DEPTH[1]) * width // DEPTH[1]
    tissue = np.ones((frames, height, width), np.uint8)
    tissue[:, :8] = 0
    stamps = np.arange(frames, dtype=np.int64) * 100_000_000
    small = images[:, rows[:, None], columns]
    return PreparedClip("noise", images, small, tissue, stamps, 100_000_000)


def tiny_trainer(folder, recipe=TINY_OURS, **settings):
    clips = [moving_clip(recipe.image_size)]
    split = split_by_time(clips, 0.2)
    networks = tiny_networks(recipe)
    return Trainer(networks, recipe, clips, split, Path(folder), TrainerSettings(**settings))


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny_trainer(sys.argv[1], checkpoint_seconds=0.5).run()
