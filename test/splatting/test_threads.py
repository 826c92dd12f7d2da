"""The number of threads, and who else renders at the same time, change nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from endosfm3d_ros.splatting.rasterization import rasterization


@pytest.mark.parametrize("threads", [1, 3])
def test_same_bits_for_any_number_of_threads(scenes, two_threads, threads):
    scene = scenes.random_scene(30, count=5000, cameras_count=2, width=200, height=150)
    wanted = scenes.render_with_gradients(scene, render_mode="RGB+ED")
    torch.set_num_threads(threads)
    found = scenes.render_with_gradients(scene, render_mode="RGB+ED")
    assert all(torch.equal(a, b) for a, b in zip(wanted, found))


def test_two_renders_at_once(scenes):
    views = [scenes.random_scene(seed, count=500 * seed) for seed in (1, 2, 3, 4)]
    wanted = [scenes.render_with_gradients(scene, render_mode="RGB+D") for scene in views]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = list(
                pool.map(lambda s: scenes.render_with_gradients(s, render_mode="RGB+D"), views)
            )
            for a, b in zip(wanted, found):
                assert all(torch.equal(x, y) for x, y in zip(a, b))


def test_forward_passes_may_be_interleaved(scenes):
    """Each backward pass uses its own forward pass, whatever was rendered in between."""
    first, second = scenes.random_scene(5, count=400), scenes.random_scene(6, count=900)
    wanted = scenes.render_with_gradients(first)
    arguments = first.arguments(gradients=True)
    render, alpha, _ = rasterization(**arguments)
    for _ in range(3):
        scenes.render_with_gradients(second)
    g = torch.Generator().manual_seed(3)
    loss = (render * torch.randn(render.shape, generator=g)).sum()
    (loss + (alpha * torch.randn(alpha.shape, generator=g)).sum()).backward()
    assert torch.equal(arguments["means"].grad, wanted[6])


def test_backward_twice_gives_the_same(scenes):
    arguments = scenes.random_scene(7).arguments(gradients=True)
    loss = rasterization(**arguments)[0].square().sum()
    first = torch.autograd.grad(loss, arguments["means"], retain_graph=True)[0]
    second = torch.autograd.grad(loss, arguments["means"])[0]
    assert torch.equal(first, second)
