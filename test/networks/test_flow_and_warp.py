"""Flow networks, and warps on geometry that can be worked out by hand."""

import pytest
import torch

from endosfm3d_ros.networks import APPEARANCE_FLOW, OPTICAL_FLOW, FlowNetwork
from endosfm3d_ros.networks.warp import (
    camera_points,
    pixel_grid,
    projected,
    splat_weight,
    visible_mask,
    warp_by_depth,
    warp_by_flow,
)


@pytest.mark.parametrize(
    ("config", "channels", "decoder"),
    [(OPTICAL_FLOW, 2, 3_154_888), (APPEARANCE_FLOW, 3, 3_157_052)],
)
def test_flow_network_sizes(config, channels, decoder):
    torch.manual_seed(0)
    network = FlowNetwork(config).eval()
    with torch.no_grad():
        outputs = network(torch.rand(1, 6, 64, 96))
    assert [tuple(o.shape) for o in outputs] == [(1, channels, 64 >> s, 96 >> s) for s in range(4)]
    encoder = 11_743_460 - (512 * 1000 + 1000)  # without the unused classifier
    assert sum(p.numel() for p in network.encoder.parameters()) == encoder
    assert sum(p.numel() for p in network.decoder.parameters()) == decoder


def test_splat_of_no_motion_covers_every_pixel_once():
    flow = torch.zeros(2, 2, 5, 7)
    assert torch.equal(splat_weight(flow), torch.ones(2, 1, 5, 7))
    assert torch.equal(visible_mask(flow), torch.ones(2, 1, 5, 7))


def test_splat_shares_weight_between_neighbours_and_drops_what_leaves():
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 1] = 1.25  # to the right
    weight = splat_weight(flow)[0, 0]
    torch.testing.assert_close(weight, torch.tensor([[0.0, 0.75, 1.0, 1.0]]).expand(3, 4))


def test_splat_moves_down_with_the_first_component():
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0] = 1.0
    assert splat_weight(flow)[0, 0, :, 0].tolist() == [0.0, 1.0, 1.0]
    assert visible_mask(flow)[0, 0, :, 0].tolist() == [0.0, 1.0, 1.0]


def test_warp_by_flow_samples_where_the_flow_points():
    source = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    source[..., 20, 20] = 1
    flow = torch.zeros(1, 2, 41, 41, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 2, -3  # (y, x): what lies 2 below and 3 to the left
    warped = warp_by_flow(source, flow)[0, 0]
    assert warped.argmax() == 18 * 41 + 23


def test_points_project_back_to_their_pixels():
    K = torch.tensor([[[30.0, 0, 15], [0, 28, 11], [0, 0, 1]]], dtype=torch.float64)
    depth = 1 + torch.rand(1, 1, 24, 32, dtype=torch.float64)
    points = camera_points(depth, torch.linalg.inv(K))
    torch.testing.assert_close(points[:, 2:], depth)
    pixels = projected(points, K, torch.eye(4, dtype=torch.float64)[None])
    torch.testing.assert_close(pixels[0], pixel_grid(depth), atol=1e-5, rtol=0)


def test_warp_by_depth_shifts_a_plane_by_focal_length_times_motion_over_depth():
    K = torch.tensor([[[40.0, 0, 16], [0, 40, 12], [0, 0, 1]]])
    source = torch.rand(1, 3, 24, 32)
    T = torch.eye(4)[None].clone()
    T[0, 0, 3] = (
        0.25  # source camera stands to the left: target pixels lie 40 * 0.25 / 5 = 2 px right
    )
    warped, grid = warp_by_depth(source, torch.full((1, 1, 24, 32), 5.0), K, T)
    torch.testing.assert_close(warped[..., :30], source[..., 2:], atol=1e-4, rtol=0)
    assert grid[0, 0, 0, 0] == pytest.approx(-1 + 2 * 2 / 31, abs=1e-5)
