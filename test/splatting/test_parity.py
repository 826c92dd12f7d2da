"""The compiled rasteriser against its mathematics in double precision.

The map needs 1e-4 forward and 1e-3 of their tensor's largest value for gradients. The kernel keeps
rounding near 1e-6, so ordinary scenes are held to much tighter bounds and degenerate ones to a
little wider. Expected depth is the least exact: it divides by alpha = 1 - transmittance, which at
the threshold 1/255 has a relative rounding error of 1.5e-5.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
ORDINARY = {"forward": 2e-6, "gradient": 2e-5}
EXPECTED_DEPTH = {"forward": 2e-5, "gradient": 3e-4}
DEGENERATE = {"forward": 1e-5, "gradient": 2e-5}


@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
@pytest.mark.parametrize("render_mode", MODES)
def test_every_mode(oracle, scenes, render_mode, rasterize_mode):
    scene = scenes.with_backgrounds(scenes.random_scene(1))
    errors = scenes.compare(scene, oracle, render_mode=render_mode, rasterize_mode=rasterize_mode)
    scenes.assert_close(errors, **(EXPECTED_DEPTH if "ED" in render_mode else ORDINARY))


@pytest.mark.parametrize("seed", range(2, 10))
def test_random_scenes(oracle, scenes, seed):
    scene = scenes.random_scene(seed, count=60 * seed, sigma_px=0.3 * seed)
    scenes.assert_close(scenes.compare(scene, oracle, render_mode="RGB+ED"), **EXPECTED_DEPTH)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7, 8, 13, 40])
def test_any_number_of_channels(oracle, scenes, channels):
    scene = scenes.random_scene(11, channels=channels)
    for render_mode in ("RGB", "RGB+D"):
        errors = scenes.compare(scene, oracle, render_mode=render_mode)
        scenes.assert_close(errors, **ORDINARY)


@pytest.mark.parametrize("own_colors", [False, True])
def test_several_cameras(oracle, scenes, own_colors):
    scene = scenes.with_backgrounds(scenes.random_scene(12, cameras_count=3))
    if own_colors:
        scene = replace(scene, colors=torch.rand(3, *scene.colors.shape))
    scenes.assert_close(scenes.compare(scene, oracle, render_mode="RGB+ED"), **EXPECTED_DEPTH)


@pytest.mark.parametrize(
    "options",
    [
        {"eps2d": 0.0},
        {"eps2d": 1.5},
        {"near_plane": 1.0},
        {"far_plane": 1.1},
        {"radius_clip": 8.0},
    ],
    ids=str,
)
def test_options(oracle, scenes, options):
    scene = scenes.random_scene(13)
    errors = scenes.compare(scene, oracle, render_mode="RGB+D", **options)
    scenes.assert_close(errors, **ORDINARY)


@pytest.mark.parametrize(
    "mean",
    [(0.0, 0.0, 1.0), (0.583, 0.41, 1.0), (-0.61, -0.5, 1.0), (0.9, 0.0, 1.0), (0.1, 0.2, 0.012)],
    ids=str,
)
def test_single_gaussian(oracle, scenes, mean):
    scene = scenes.random_scene(14, count=1, sigma_px=6.0)
    scene = replace(scene, means=torch.tensor([mean]), opacities=torch.tensor([0.9]))
    scenes.assert_close(scenes.compare(scene, oracle, render_mode="RGB+ED"), **EXPECTED_DEPTH)


def test_gaussian_beside_the_image_uses_the_limited_jacobian(oracle, scenes):
    """Far outside the field of view but wide enough to reach in."""
    scene = scenes.random_scene(15, count=4)
    means = torch.tensor([[2.5, 0.1, 1.0], [-2.5, 0.2, 1.0], [0.1, 2.2, 1.0], [0.0, -2.2, 1.0]])
    scene = replace(scene, means=means, scales=torch.tensor([[0.9, 0.6, 1.2]]).repeat(4, 1))
    errors = scenes.compare(scene, oracle, render_mode="RGB+D")
    scenes.assert_close(errors, **ORDINARY)


def degenerate(scenes, kind: str):
    scene = scenes.random_scene(16, count=120)
    n, scales = 120, scene.scales.clone()
    if kind == "flat":
        scales[:, 2] = 1e-7
    elif kind == "points":
        scales = torch.full((n, 3), 1e-8)
    elif kind == "zero scales":
        scales = torch.zeros(n, 3)
    elif kind == "needles":
        scales = torch.tensor([3.0, 1e-5, 1e-5]).repeat(n, 1)
    elif kind == "large":
        scales = scales * 100.0
        return replace(scene, scales=scales, opacities=scene.opacities * 0.1)
    elif kind == "huge":
        return replace(scene, scales=scales * 1e6, opacities=scene.opacities * 0.1)
    elif kind == "opaque":
        return replace(scene, opacities=torch.ones(n))
    elif kind == "one depth":
        means = scene.means.clone()
        means[:, 2] = 0.75
        return replace(scene, means=means)
    return replace(scene, scales=scales)


@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
@pytest.mark.parametrize(
    "kind",
    ["flat", "points", "zero scales", "needles", "large", "huge", "opaque", "one depth"],
)
def test_degenerate_scenes(oracle, scenes, kind, rasterize_mode):
    if rasterize_mode == "antialiased" and kind in ("points", "zero scales", "needles"):
        pytest.skip("antialiasing makes Gaussians without extent invisible")
    errors = scenes.compare(
        degenerate(scenes, kind), oracle, margin=1e-3, render_mode="RGB+D",
        rasterize_mode=rasterize_mode,
    )  # fmt: skip
    scenes.assert_close(errors, **DEGENERATE)


def test_dense_scene_stops_early(oracle, scenes):
    """Hundreds of opaque layers: pixels finish, and what lies behind gets no gradient."""
    scene = scenes.random_scene(17, count=1500, sigma_px=5.0)
    scene = replace(scene, opacities=scene.opacities * 0.5 + 0.5)
    errors = scenes.compare(scene, oracle, render_mode="RGB+D")
    scenes.assert_close(errors, **ORDINARY)


def test_bands_give_the_same_bits(oracle, scenes, monkeypatch):
    """With memory for few Gaussian-tile pairs the image is rendered piece by piece."""
    from endosfm3d_ros.splatting import cpu

    scene = scenes.with_backgrounds(scenes.random_scene(18, cameras_count=2))
    whole = scenes.render_with_gradients(scene, render_mode="RGB+ED")
    for held in (1, 50, 300):
        monkeypatch.setattr(cpu, "HELD_ENTRIES", held)
        for a, b in zip(whole, scenes.render_with_gradients(scene, render_mode="RGB+ED")):
            assert torch.equal(a, b)


@pytest.mark.parametrize("part", [0, 1])
def test_loss_on_one_output_only(scenes, part):
    """The output without a gradient counts as zero."""
    outputs, gradients = [], []
    for silent in (False, True):
        arguments = scenes.random_scene(19).arguments(gradients=True)
        outputs = scenes.rasterization(**arguments, render_mode="RGB+D")[:2]
        loss = outputs[part].square().sum()
        (loss if silent else loss + 0.0 * outputs[1 - part].sum()).backward()
        gradients.append(arguments["means"].grad)
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)
