"""Depth network against `endosfm3d_depth.npz`: adapters active and merged, and exported."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from endosfm3d_ros.evaluation.parity import engines
from endosfm3d_ros.evaluation.parity.check import Check, close, mean_std, scaled
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.networks.checkpoints import adapted_depth_network, depth_network, depth_tensors
from endosfm3d_ros.networks.depth import (
    SCALES,
    DepthNetwork,
    disparity_to_depth,
    scaled_disparity,
)

TOKENS = [0, 1, 2, 100, 200, 300, 395, 396]  # stored tokens: class, first, middle, last


def checks(folder: GoldenFolder) -> Iterator[Check]:
    """All checks of the depth network."""
    golden = folder.arrays("endosfm3d_depth")
    image = golden.image("image_u8")
    tensors = depth_tensors(folder.weights("depth_model"))
    merged = depth_network(tensors, "golden weights")
    with torch.no_grad():
        yield from network_checks("adapters", adapted_depth_network(tensors), image, golden)
        yield from network_checks("merged", merged, image, golden)
    yield from engines.depth_checks(merged, image, golden)


def network_checks(
    prefix: str, network: DepthNetwork, image: Tensor, golden: GoldenArrays
) -> Iterator[Check]:
    """Backbone, neck and output of one form of the network."""
    for i, tokens in enumerate(network.tokens(image)):
        yield scaled(f"{prefix}_feature_{i}", tokens[:, TOKENS], golden[f"feature_{i}_tokens"])
        expected = golden[f"feature_{i}_mean_std"]
        yield scaled(f"{prefix}_feature_{i}_mean_std", mean_std(tokens), expected)
    for i, level in enumerate(network.levels(image)):
        stored = level[:, ::8, :: 2**i, :: 2**i]
        yield scaled(f"{prefix}_neck_{i}", stored, golden[f"neck_{i}_strided"])
    disparities = network(image)
    for scale in range(SCALES):
        name = f"disp_{scale}"
        yield close(f"{prefix}_{name}", disparities[scale], golden[name], rtol=1e-4, atol=1e-6)
    inverse = scaled_disparity(disparities[0])[..., ::2, ::2]
    yield close(f"{prefix}_scaled_disp_0", inverse, golden["scaled_disp_0"], rtol=1e-4, atol=1e-6)
    depth = disparity_to_depth(disparities[0])
    yield close(f"{prefix}_depth_0", depth, golden["depth_0"], rtol=1e-4, atol=1e-6)
