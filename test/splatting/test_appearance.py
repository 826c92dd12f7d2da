"""The quick backward pass for colours alone against the one for everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from endosfm3d_ros.splatting import cpu
from endosfm3d_ros.splatting.rasterization import rasterization

APPEARANCE = ("colors", "backgrounds")
DEPTH = ("D", "ED")  # modes in which colours play no part


def gradients(scene, wanted: tuple[str, ...], **options) -> dict[str, torch.Tensor]:
    """Of one fixed loss on renders and alphas, for the tensors named."""
    arguments = scene.arguments()
    for name in wanted:
        if arguments[name] is not None:
            arguments[name].requires_grad_()
    render, alpha, _ = rasterization(**arguments, **options)
    g = torch.Generator().manual_seed(7)
    loss = (render * torch.randn(render.shape, generator=g)).sum()
    (loss + (alpha * torch.randn(alpha.shape, generator=g)).sum()).backward()
    return {name: arguments[name].grad for name in APPEARANCE if arguments[name] is not None}


def compare(scene, **options) -> None:
    quick = gradients(scene, APPEARANCE, **options)
    whole = gradients(scene, ("means", *APPEARANCE), **options)
    for name, value in whole.items():
        assert (quick[name] is None) == (value is None) == (options.get("render_mode") in DEPTH)
        if value is None:
            continue
        assert (quick[name] - value).abs().max() <= 1e-5 * value.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("render_mode", ["RGB", "D", "ED", "RGB+D", "RGB+ED"])
def test_every_mode(scenes, render_mode):
    scene = scenes.with_backgrounds(scenes.random_scene(31))
    compare(scene, render_mode=render_mode, rasterize_mode="antialiased")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 11])
def test_any_number_of_channels(scenes, channels):
    compare(scenes.random_scene(32, channels=channels), render_mode="RGB+ED")


@pytest.mark.parametrize("own_colors", [False, True])
def test_several_cameras_in_bands(scenes, monkeypatch, own_colors):
    scene = scenes.with_backgrounds(scenes.random_scene(33, cameras_count=3))
    if own_colors:
        scene = replace(scene, colors=torch.rand(3, *scene.colors.shape))
    compare(scene)
    whole = gradients(scene, APPEARANCE)
    monkeypatch.setattr(cpu, "HELD_ENTRIES", 50)
    for name, value in gradients(scene, APPEARANCE).items():
        assert torch.equal(value, whole[name])


def test_opaque_layers_hide_the_rest(scenes):
    scene = scenes.random_scene(34, count=1500, sigma_px=5.0)
    compare(replace(scene, opacities=scene.opacities * 0.5 + 0.5))


def test_a_loss_on_depth_alone_says_nothing_about_colours(scenes):
    scene = scenes.random_scene(35)
    arguments = scene.arguments()
    arguments["colors"].requires_grad_()
    render, _, _ = rasterization(**arguments, render_mode="RGB+ED")
    render[..., 3].sum().backward()
    assert torch.equal(arguments["colors"].grad, torch.zeros_like(scene.colors))


def test_the_pass_for_everything_is_not_run(scenes, monkeypatch):
    allocated = []
    allocate = cpu._allocate_gradients
    monkeypatch.setattr(
        cpu,
        "_allocate_gradients",
        lambda *given: allocated.append(allocate(*given)) or allocated[-1],
    )
    gradients(scenes.random_scene(36), APPEARANCE)
    gradients(scenes.random_scene(36), ("opacities", *APPEARANCE))
    assert [set(names) for names in allocated] == [{"colors"}, {"colors", *cpu.GEOMETRY}]
