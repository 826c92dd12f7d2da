"""Pose network and what is made of its outputs."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.networks import (
    PoseNetwork,
    intrinsics_from_q,
    motion_matrix,
    released_intrinsics,
)
from endosfm3d_ros.networks.patch_attention import PatchAttention, SelfAttention
from endosfm3d_ros.networks.pose import mirrored

WIDTH, HEIGHT = 320, 256


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PoseNetwork().eval()


def test_number_of_parameters_is_the_published_one(network):
    classifier = 512 * 1000 + 1000  # unused, left out here
    count = sum(p.numel() for p in network.parameters())
    assert count == 17_471_322 - classifier + 2_052_432


def test_outputs_and_feature_sizes(network):
    pair = torch.rand(2, 6, HEIGHT, WIDTH)
    with torch.no_grad():
        axisangle, translation, q = network(pair)
        features, maps = network.encoder(pair)
    assert (axisangle.shape, translation.shape, q.shape) == ((2, 3), (2, 3), (2, 4))
    assert [tuple(f.shape[1:]) for f in features] == [
        (64, 128, 160),
        (64, 64, 80),
        (128, 32, 40),
        (256, 16, 20),
        (512, 8, 10),
    ]
    assert {name: tuple(m.shape[1:]) for name, m in maps.items()} == {
        "layer_0": (1, 64, 80),
        "layer_2": (1, 16, 20),
    }
    assert all(m.min() > 0 and m.max() < 1 for m in maps.values())


def test_frame_order_matters(network):
    source, target = torch.rand(2, 1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        forward = network(torch.cat([source, target], dim=1))
        backward = network(torch.cat([target, source], dim=1))
    assert not torch.equal(forward[0], backward[0])


def test_attention_agrees_with_torch():
    torch.manual_seed(1)
    ours = SelfAttention(32).eval()
    reference = torch.nn.MultiheadAttention(32, 8, batch_first=True).eval()
    reference.load_state_dict(ours.state_dict())
    tokens = torch.randn(2, 7, 32)
    expected, _ = reference(tokens, tokens, tokens)
    torch.testing.assert_close(ours(tokens), expected, rtol=1e-5, atol=1e-6)


def test_more_patches_than_positions_are_refused():
    with pytest.raises(InputError, match="1089 patches"):
        PatchAttention(8)(torch.zeros(1, 8, 264, 264))


def test_mirrored_border_is_a_reflecting_pad():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(mirrored(x), F.pad(x, (1, 1, 1, 1), mode="reflect"))


def test_intrinsics_without_and_with_the_released_off_diagonals():
    q = torch.tensor([[0.3, 0.5, 0.02, -0.1]])
    ours, released = intrinsics_from_q(q, WIDTH, HEIGHT), released_intrinsics(q, WIDTH, HEIGHT)
    expected = [[256.0, 0, 166.4], [0, 256.0, 102.4], [0, 0, 1]]
    torch.testing.assert_close(ours[0], torch.tensor(expected))
    difference = released[0, :3, :3] - ours[0]
    assert difference[0, 1] == pytest.approx(math.log(2))
    assert difference[1, 0] == pytest.approx(math.log(2))
    assert difference.abs().sum() == pytest.approx(2 * math.log(2), abs=1e-4)


def test_focal_lengths_stay_positive():
    K = intrinsics_from_q(torch.tensor([[-0.7, -0.6, 0.0, 0.0]]), WIDTH, HEIGHT)
    assert K[0, 0, 0] > 0
    assert K[0, 1, 1] > 0


def test_motion_matrix_is_the_rotation_of_its_vector():
    vectors = torch.tensor([[0.1, -0.4, 0.3], [0.0, 0.0, 0.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.5]], dtype=torch.float64)
    T = motion_matrix(vectors, t)
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    np.testing.assert_allclose(T[:, :3, :3].numpy(), expected, atol=1e-6)  # axis eps of 1e-7
    assert torch.equal(T[:, :3, 3], t)
    inverse = motion_matrix(vectors, t, invert=True)
    torch.testing.assert_close(
        inverse @ T, torch.eye(4).double().repeat(2, 1, 1), atol=1e-6, rtol=0
    )
