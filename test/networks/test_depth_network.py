"""Depth network: sizes, fixed copies, disparity conversion."""

import pytest
import torch

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.networks import DepthNetwork, DepthNetworkConfig, disparity_to_depth
from endosfm3d_ros.networks.dinov2 import Dinov2Config

TINY = DepthNetworkConfig(
    backbone=Dinov2Config(width=16, heads=2, layers=4, trained_grid=5, output_layers=(1, 2, 3, 4)),
    neck_channels=(4, 4, 8, 8),
    fusion_channels=8,
    head_channels=4,
)


def tiny_network(seed=0):
    torch.manual_seed(seed)
    network = DepthNetwork(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn_like(parameter))
    return network.eval()


def test_the_full_network_has_the_published_number_of_parameters():
    count = sum(p.numel() for p in DepthNetwork().parameters())
    adapters, mask_token = 267_264, 384  # kept apart and unused here
    assert count == 25_052_353 - adapters - mask_token


@pytest.mark.parametrize(("height", "width"), [(256, 320), (252, 322), (70, 99)])
def test_outputs_have_the_size_of_the_image_at_four_scales(height, width):
    network = tiny_network()
    image = torch.rand(2, 3, height, width)
    with torch.no_grad():
        disparities = network(image)
        logit = network.logit(image)
    assert [tuple(d.shape) for d in disparities] == [
        (2, 1, height >> s, width >> s) for s in range(4)
    ]
    torch.testing.assert_close(torch.sigmoid(logit), disparities[0])
    assert 0 < disparities[0].min() < disparities[0].max() < 1


def test_pyramid_at_the_published_size():
    network = tiny_network()
    image = torch.rand(1, 3, 256, 320)
    assert [tuple(t.shape) for t in network.tokens(image)] == [(1, 397, 16)] * 4
    sizes = [tuple(level.shape[-2:]) for level in network.levels(image)]
    assert sizes == [(18, 22), (36, 44), (72, 88), (144, 176)]


def test_pixels_beyond_the_last_whole_patch_are_unseen():
    network = tiny_network()
    image = torch.rand(1, 3, 256, 320)
    changed = image.clone()
    changed[:, :, 252:] = 0
    changed[:, :, :, 308:] = 1
    assert torch.equal(network.logit(image), network.logit(changed))


def test_a_fixed_copy_gives_the_same_and_only_for_its_size():
    network = tiny_network()
    fixed = network.fixed_to(70, 84)
    image = torch.rand(1, 3, 70, 84)
    assert torch.equal(fixed.logit(image), network.logit(image))
    assert fixed.backbone.position_embedding.shape == (1, 1 + 5 * 6, 16)
    with pytest.raises(InputError, match="fixed to 5x6"):
        fixed.logit(torch.rand(1, 3, 84, 84))
    assert network.logit(torch.rand(1, 3, 84, 84)).shape == (1, 1, 84, 84)


def test_position_embedding_is_unchanged_at_the_trained_grid():
    backbone = tiny_network().backbone
    assert backbone.positions(5, 5) is backbone.position_embedding
    assert not torch.allclose(backbone.positions(5, 6)[:, 1:6], backbone.position_embedding[:, 1:6])
    assert torch.equal(backbone.positions(5, 6)[:, 0], backbone.position_embedding[:, 0])


def test_disparity_spans_the_depth_range():
    disparity = torch.tensor([0.0, 1.0, 0.01], dtype=torch.float64)
    depth = disparity_to_depth(disparity)
    expected = [150.0, 0.1, 1 / (1 / 150 + 0.01 * (10 - 1 / 150))]
    torch.testing.assert_close(depth, torch.tensor(expected, dtype=torch.float64))
