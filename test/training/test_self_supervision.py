"""The two training losses: what they respond to and which networks they reach."""

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from endosfm3d_ros.training.recipes import LossWeights
from endosfm3d_ros.training.self_supervision import (
    depth_loss,
    flow_loss,
    observe,
    pyramid,
    synthesise,
)

SIZE = (176, 192)


class Constant(nn.Module):
    """A flow network that answers with one value per channel."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, pair):
        height, width = pair.shape[-2:]
        return tuple(
            self.values[None, :, None, None].expand(len(pair), -1, height >> s, width >> s)
            for s in range(4)
        )


@pytest.fixture(scope="module")
def frames():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand((3, *SIZE), generator=generator).numpy()
    target = torch.from_numpy(gaussian_filter(noise, (0, 3, 3)))[None]
    target = (target - target.min()) / (target.max() - target.min())
    source = torch.roll(target, 4, dims=3)
    return source, target


def test_pyramid_halves_by_means(frames):
    _, target = frames
    images = pyramid(target)
    assert [tuple(i.shape[-2:]) for i in images] == [(176 >> s, 192 >> s) for s in range(4)]
    assert images[3][0, 0, 0, 0] == pytest.approx(target[0, 0, :8, :8].mean().item())


def test_the_right_flow_has_the_smallest_loss(frames):
    still = Constant([0.0, 0.0, 0.0])
    losses = {
        shift: flow_loss(
            [observe(Constant([0.0, shift]), still, *frames)], frames[1], LossWeights()
        ).mean()
        for shift in (0.0, 2.0, 4.0, 6.0)
    }
    assert min(losses, key=losses.get) == 4.0


def test_brightness_change_enters_the_corrected_target(frames):
    view = observe(Constant([0.0, 0.0]), Constant([0.1, 0.0, -0.1]), *frames)
    expected = (frames[1] + torch.tensor([0.1, 0.0, -0.1])[None, :, None, None]).clamp(0, 1)
    torch.testing.assert_close(view.refined[2], expected)
    assert view.visible.min() == 1


def test_each_step_reaches_its_own_networks(frames):
    flow, change = Constant([0.0, 3.0]), Constant([0.01, 0.01, 0.01])
    view = observe(flow, change, *frames)
    flow_loss([view], frames[1], LossWeights()).mean().backward()
    assert flow.values.grad.abs().max() > 0
    assert change.values.grad is None or change.values.grad.abs().max() == 0


def test_depth_loss_is_smallest_for_the_true_depth(frames):
    source, target = frames
    K = torch.tensor([[[100.0, 0, 96], [0, 100.0, 88], [0, 0, 1]]])
    T = torch.eye(4)[None].clone()
    T[0, 0, 3] = 0.04  # depth 1 moves points by 4 px
    view = observe(Constant([0.0, 4.0]), Constant([0.0, 0.0, 0.0]), source, target)

    def loss(depth):
        disparity = (1 / depth - 1 / 150) / (10 - 1 / 150)
        disparities = tuple(
            torch.full((1, 1, SIZE[0] >> s, SIZE[1] >> s), disparity) for s in range(4)
        )
        warped = synthesise(source, disparities, K, T)
        return depth_loss([view], [warped], disparities, target, LossWeights()).mean().item()

    assert loss(1.0) < 0.5 * min(loss(0.7), loss(1.6))
