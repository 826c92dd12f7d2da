"""Networks small enough to build in a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from endosfm3d_ros.engines import EngineSettings, NetworkRecipe, TensorSpec


class SmallNetwork(nn.Module):
    """A convolution with a map and a vector as outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.linear = nn.Linear(8, 3)

    def forward(self, image):
        x = torch.relu(self.convolution(image))
        return x.mean(dim=1, keepdim=True), self.linear(x.mean(dim=(2, 3)))


def small_recipe(load=SmallNetwork, fingerprint="weights-1", **changes):
    """The small network as a recipe."""
    fields = {
        "name": "small",
        "inputs": (TensorSpec("image", (1, 3, 24, 40)),),
        "output_names": ("map", "vector"),
        "fingerprint": fingerprint,
        "load": load,
    }
    return NetworkRecipe(**(fields | changes))


@pytest.fixture
def network():
    return SmallNetwork().eval()


@pytest.fixture
def make_recipe():
    return small_recipe


@pytest.fixture
def recipe():
    return small_recipe()


@pytest.fixture
def settings(tmp_path: Path):
    # named, so that tests do not depend on the optional packages that are installed
    return EngineSettings(backends=("openvino", "torch"), cache_dir=tmp_path / "engines")


@pytest.fixture
def image():
    return {"image": np.random.default_rng(1).random((1, 3, 24, 40), np.float32)}


class CountingLoader:
    """Loads the small network and counts how often that was asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return SmallNetwork()


@pytest.fixture
def loader():
    return CountingLoader()
