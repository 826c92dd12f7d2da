"""The depth network in fewer operations answers like the one it was made of."""

import copy

import pytest
import torch

from endosfm3d_ros.networks import DepthNetwork, DepthNetworkConfig
from endosfm3d_ros.networks.depth_folding import ProjectedFusion, fold
from endosfm3d_ros.networks.dinov2 import Dinov2Config
from endosfm3d_ros.networks.dpt import Fusion
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights

SMALL = DepthNetworkConfig(
    backbone=Dinov2Config(width=32, heads=2, layers=4, trained_grid=5, output_layers=(1, 2, 3, 4)),
    neck_channels=(8, 8, 16, 16),
    fusion_channels=8,
    head_channels=4,
)


def network_for(size, seed):
    """Biases, norms and layer scales are all drawn, so each has a part in the answer."""
    network = fill_with_generated_weights(DepthNetwork(SMALL), seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.3)  # at the edges biases are what joined layers get wrong
    return network.double().fixed_to(*size)


@pytest.mark.parametrize("size", [(256, 320), (70, 98)])
def test_all_levels_and_logits_are_the_same(size):
    network = network_for(size, seed=1)
    image = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.manual_seed(0))
    folded = copy.deepcopy(network)
    fold(folded)
    with torch.no_grad():
        for ours, expected in zip(folded.levels(image), network.levels(image), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-11)
        torch.testing.assert_close(folded.logit(image), network.logit(image), rtol=1e-10, atol=0)


def test_folding_removes_layers_and_keeps_the_names_that_precisions_refer_to():
    network = network_for((70, 98), seed=2)
    before = sum(p.numel() for p in network.backbone.parameters())
    fold(network)
    names = {name for name, _ in network.named_modules()}
    assert {"head.conv3", "neck.resizes.0", "backbone.patches"} <= names
    assert sum(p.numel() for p in network.backbone.parameters()) < before
    assert network.neck.projections[0].bias is None


def test_projecting_before_enlarging_is_the_same():
    torch.manual_seed(3)
    fusion = Fusion(4).double()
    lateral, coarse = torch.rand(2, 1, 4, 5, 7, dtype=torch.float64)
    with torch.no_grad():
        expected = fusion(lateral, coarse, (10, 14))
        ours = ProjectedFusion(fusion)(lateral, coarse, (10, 14))
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
