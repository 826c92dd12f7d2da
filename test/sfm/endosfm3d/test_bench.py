"""The network benchmark: how times become ratios, and weights that are alike everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from endosfm3d_ros.bench.rounds import interleaved, summary
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights


def test_every_round_runs_everything_once():
    order = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert order == list("ababab")
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_ratios_are_taken_round_by_round():
    """A slow round of the machine hits reference and run alike and cancels."""
    times = {
        "depth_torch_f32": np.array([100.0, 900.0, 100.0]),
        "depth_openvino_f32": np.array([40.0, 360.0, 40.0]),
        "pose_torch_f32": np.array([10.0, 10.0, 10.0]),
    }
    result = summary(times, {"depth_openvino_f32": "depth_torch_f32"})
    assert result["depth_torch_f32"]["ratio_to"] == {}
    assert result["depth_openvino_f32"]["ratio_to"] == {"depth_torch_f32": pytest.approx(0.4)}
    assert result["depth_openvino_f32"]["p50_ms"] == 40.0
    assert result["depth_openvino_f32"]["p95_ms"] > 300


def network():
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32))


def test_generated_weights_depend_on_the_seed_alone():
    first, again, other = (fill_with_generated_weights(network(), seed) for seed in (0, 0, 1))
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters()):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_generated_weights_keep_the_size_of_activations():
    filled = fill_with_generated_weights(network())
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert 0.3 < filled(image).std() < 3
