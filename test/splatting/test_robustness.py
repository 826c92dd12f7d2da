"""Bad, extreme and empty Gaussians: a defined image, zero gradient, never a crash."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest
import torch

from endosfm3d_ros.splatting.rasterization import rasterization

NAN, INF = float("nan"), float("inf")
LEAVES = ("means", "quats", "scales", "opacities", "colors")


def spoil(scene, name: str, value, rows: slice):
    tensor = getattr(scene, name).clone()
    tensor[rows] = value
    return replace(scene, **{name: tensor})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("means", NAN),
        ("means", INF),
        ("means", torch.tensor([0.0, 0.0, -INF])),
        ("quats", 0.0),
        ("quats", NAN),
        ("quats", INF),
        ("scales", torch.tensor([0.1, -0.1, 0.1])),
        ("scales", NAN),
        ("scales", INF),
        ("opacities", NAN),
        ("opacities", INF),
        ("opacities", 0.0),
        ("opacities", -1.0),
        ("colors", NAN),
        ("colors", -INF),
    ],
    ids=str,
)
def test_unusable_gaussians_are_as_if_absent(scenes, name, value):
    """Every third one is spoilt; the others must give the image they give alone."""
    scene = scenes.random_scene(20)
    bad = slice(0, None, 3)
    good = torch.ones(len(scene.means), dtype=torch.bool)
    good[bad] = False
    alone = replace(scene, **{leaf: getattr(scene, leaf)[good] for leaf in LEAVES})
    wanted = scenes.render_with_gradients(alone, render_mode="RGB+D")
    found = scenes.render_with_gradients(spoil(scene, name, value, bad), render_mode="RGB+D")
    assert torch.equal(found[0], wanted[0])
    assert torch.equal(found[1], wanted[1])
    assert (found[2][:, bad] == 0).all(), "radii mark culled Gaussians"
    for gradient, alone_gradient in zip(found[6:11], wanted[6:11]):
        assert torch.equal(gradient[good], alone_gradient)
        assert (gradient[bad] == 0).all()


@pytest.mark.parametrize("kind", ["none", "behind", "beside", "transparent", "broken camera"])
def test_nothing_to_see(scenes, kind):
    """The background alone, expected depth zero, gradients zero but the background's."""
    scene = scenes.with_backgrounds(scenes.random_scene(21, count=0 if kind == "none" else 50))
    if kind == "behind":
        scene = replace(scene, means=scene.means * torch.tensor([1.0, 1.0, -1.0]))
    if kind == "beside":
        scene = replace(scene, means=scene.means + torch.tensor([50.0, 0.0, 0.0]))
    if kind == "transparent":
        scene = replace(scene, opacities=torch.full((50,), 0.0039))
    if kind == "broken camera":
        scene = replace(scene, viewmats=torch.full((1, 4, 4), NAN))
    arguments = scene.arguments(gradients=True)
    render, alpha, info = rasterization(**arguments, render_mode="RGB+ED")
    assert torch.equal(render[0, ..., :3], scene.backgrounds.expand(*render.shape[1:3], 3))
    assert (render[..., 3] == 0).all()
    assert (alpha == 0).all()
    assert (info["radii"] == 0).all()
    render.sum().backward()
    assert all((arguments[name].grad == 0).all() for name in LEAVES)
    assert torch.allclose(arguments["backgrounds"].grad, torch.tensor(70.0 * 52.0))


@pytest.mark.parametrize("seed", range(30))
def test_fuzz(seed):
    """Any bit pattern in any parameter; output must be finite wherever colours are."""
    g = torch.Generator().manual_seed(seed)
    n, width, height = 300, 40 + seed, 64 - seed

    def wild(*shape: int) -> torch.Tensor:
        exponent = torch.randint(-44, 38, shape, generator=g).float()
        value = torch.randn(shape, generator=g) * 10.0**exponent
        special = torch.tensor([NAN, INF, -INF, 0.0])[torch.randint(0, 4, shape, generator=g)]
        plain = torch.rand(shape, generator=g)
        choice = torch.rand(shape, generator=g)
        return torch.where(choice < 0.02, special, torch.where(choice < 0.2, value, plain))

    inputs = [wild(n, 3), wild(n, 4), wild(n, 3), wild(n), torch.rand(n, 3, generator=g)]
    inputs = [tensor.requires_grad_() for tensor in inputs]
    viewmats = torch.eye(4).repeat(2, 1, 1)
    viewmats[1] += 0.3 * torch.randn(4, 4, generator=g)
    Ks = torch.tensor([[50.0, 0.0, 20.0], [0.0, 50.0, 20.0], [0.0, 0.0, 1.0]]).repeat(2, 1, 1)
    mode = ("classic", "antialiased")[seed % 2]
    render, alpha, _ = rasterization(
        *inputs, viewmats, Ks, width, height, rasterize_mode=mode, render_mode="RGB+ED",
        eps2d=(0.3, 0.0)[seed % 3 == 0],
    )  # fmt: skip
    assert render.isfinite().all()
    assert ((alpha >= 0) & (alpha <= 1)).all()
    (render[..., :3].sum() + alpha.sum()).backward()
    unusable = ~torch.stack([t.detach().reshape(n, -1).isfinite().all(-1) for t in inputs]).all(0)
    for tensor in inputs:
        assert (tensor.grad[unusable] == 0).all()


@pytest.mark.slow
def test_memory_is_bounded(scenes):
    """40k Gaussians over the whole image touch 12.8 million tiles, three times what is held."""
    scene = scenes.random_scene(22, count=40_000, sigma_px=300.0, width=320, height=256, focal=300)
    scene = replace(scene, opacities=scene.opacities * 0.01)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scenes.render_with_gradients(scene, render_mode="RGB+D")
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 600


def test_no_growth_over_many_calls(scenes):
    """States go back to a pool; a leak of one per call would show as hundreds of MB."""
    scene = scenes.random_scene(23, count=3000, width=320, height=256, focal=260)
    for _ in range(20):
        scenes.render_with_gradients(scene)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(80):
        scenes.render_with_gradients(scene)
        rasterization(**scene.arguments(gradients=True))  # never differentiated
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 30


def test_gaussians_beside_the_image_are_told_by_their_mean_alone(oracle, scenes):
    """The quick test may only drop what the exact one drops too."""
    g = torch.Generator().manual_seed(44)
    scene = scenes.random_scene(44, count=4000)
    away = 6 * (torch.rand(4000, 2, generator=g) - 0.5) * scene.means[:, 2:]
    means = torch.cat([away, scene.means[:, 2:]], dim=1)
    large = torch.exp(torch.randn(4000, 1, generator=g))
    scene = replace(scene, means=means, scales=large * scene.scales)
    errors = scenes.compare(scene, oracle, render_mode="RGB+D", rasterize_mode="antialiased")
    scenes.assert_close(errors, forward=1e-5, gradient=1e-4)
