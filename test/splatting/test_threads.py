"""The number of threads, and who else renders at the same time, change nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.splatting.rasterization import rasterization


def test_same_bits_for_any_number_of_threads(scenes, own_threads):
    scene = scenes.random_scene(30, count=5000, cameras_count=2, width=200, height=150)
    own_threads(1)
    wanted = scenes.render_with_gradients(scene, render_mode="RGB+ED")
    for threads in (2, 3, 7) * 4:
        own_threads(threads)
        found = scenes.render_with_gradients(scene, render_mode="RGB+ED")
        assert all(torch.equal(a, b) for a, b in zip(wanted, found))


def test_no_thread_is_refused(own_threads):
    with pytest.raises(InputError, match="0 threads: accepted are 1 to 64"):
        own_threads(0)


def test_rendering_goes_on_in_a_forked_process(scenes):
    """The helper threads do not survive a fork; the child must not wait for them."""
    scene = scenes.random_scene(31, count=2000)
    wanted = scenes.render_with_gradients(scene)
    child = os.fork()
    if child == 0:
        found = scenes.render_with_gradients(scene)
        os._exit(0 if torch.equal(found[0], wanted[0]) else 1)
    assert os.waitpid(child, 0)[1] == 0


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
