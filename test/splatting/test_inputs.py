"""Wrong arguments are refused in one sentence that names the value and what is accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.splatting.rasterization import rasterization


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"render_mode": "rgb"}, ["render_mode", "'rgb'", "RGB+ED"]),
        ({"rasterize_mode": "mip"}, ["rasterize_mode", "'mip'", "antialiased"]),
        ({"width": 0}, ["width is 0", "accepted"]),
        ({"height": 10.5}, ["height is 10.5", "accepted"]),
        ({"width": 10**6}, ["width is 1000000", "32768"]),
        ({"near_plane": 0.0}, ["near_plane 0.0", "0 < near_plane < far_plane"]),
        ({"near_plane": 2.0, "far_plane": 1.0}, ["far_plane 1.0"]),
        ({"eps2d": -0.1}, ["eps2d is -0.1"]),
        ({"radius_clip": float("nan")}, ["radius_clip is nan"]),
        ({"means": torch.zeros(5, 3)}, ["quats has shape (20, 4)", "(5, 4)"]),
        ({"quats": torch.zeros(20, 3)}, ["quats has shape (20, 3)", "(20, 4)"]),
        ({"opacities": torch.zeros(20, 1)}, ["opacities has shape (20, 1)", "(20,)"]),
        ({"colors": torch.zeros(3, 20, 3)}, ["colors", "(20, 3) or (2, 20, 3)"]),
        ({"colors": torch.zeros(20, 0)}, ["0 colour channels"]),
        ({"viewmats": torch.eye(4)}, ["viewmats has shape (4, 4)"]),
        ({"viewmats": torch.zeros(0, 4, 4), "Ks": torch.zeros(0, 3, 3)}, ["0 cameras"]),
        ({"Ks": torch.eye(3)}, ["Ks has shape (3, 3)", "(2, 3, 3)"]),
        ({"Ks": torch.zeros(2, 3, 3)}, ["fx 0.0", "positive focal lengths"]),
        ({"backgrounds": torch.zeros(3)}, ["backgrounds has shape (3,)", "(2, 3)"]),
        ({"scales": torch.zeros(20, 3).double()}, ["scales is torch.float64", "float32"]),
        ({"means": [[0.0, 0.0, 0.0]]}, ["means is list", "float32"]),
        ({"scales": torch.zeros(20, 3, device="meta")}, ["scales is on meta", "cpu and cuda"]),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_refused(scenes, changes, words):
    arguments = scenes.random_scene(1, count=20, cameras_count=2).arguments() | changes
    with pytest.raises(InputError) as error:
        rasterization(**arguments)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_strided_tensors_are_accepted(scenes):
    scene = scenes.random_scene(2)
    strided = {name: getattr(scene, name).T.contiguous().T for name in ("means", "quats", "colors")}
    assert not strided["means"].is_contiguous()
    wanted = scenes.render_with_gradients(scene)
    found = scenes.render_with_gradients(replace(scene, **strided))
    assert all(torch.equal(a, b) for a, b in zip(wanted, found))


def test_shapes_and_info(scenes):
    scene = scenes.random_scene(3, cameras_count=2, channels=5)
    for mode, channels in (("RGB", 5), ("D", 1), ("ED", 1), ("RGB+D", 6), ("RGB+ED", 6)):
        renders, alphas, info = rasterization(**scene.arguments(), render_mode=mode)
        assert renders.shape == (2, scene.height, scene.width, channels)
        assert alphas.shape == (2, scene.height, scene.width, 1)
    n = len(scene.means)
    shapes = {name: tuple(value.shape) for name, value in info.items()}
    assert shapes == {
        "radii": (2, n, 2), "means2d": (2, n, 2), "depths": (2, n), "conics": (2, n, 3)
    }  # fmt: skip
    assert info["radii"].dtype == torch.int32


def test_one_gaussian_lands_where_the_camera_says():
    """By hand: fx 100, cx 32.5; a point at x/z = 0.1 is centred on pixel 42 with alpha 0.8."""
    K = torch.tensor([[[100.0, 0.0, 32.5], [0.0, 100.0, 24.5], [0.0, 0.0, 1.0]]])
    render, alpha, info = rasterization(
        torch.tensor([[0.2, 0.0, 2.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        torch.full((1, 3), 0.04), torch.tensor([0.8]), torch.tensor([[1.0, 0.5, 0.25]]),
        torch.eye(4)[None], K, 64, 48, render_mode="RGB+ED",
    )  # fmt: skip
    assert torch.allclose(info["means2d"], torch.tensor([[[42.5, 24.5]]]))
    assert torch.allclose(alpha[0, 24, 42], torch.tensor([0.8]), atol=1e-6)
    assert torch.allclose(render[0, 24, 42], torch.tensor([0.8, 0.4, 0.2, 2.0]), atol=1e-6)
    # footprint (0.04 * 100 / 2)^2 (1 + 0.1^2) + 0.3 in x: one column further
    wanted = 0.8 * torch.exp(torch.tensor(-0.5 / (4 * 1.01 + 0.3)))
    assert torch.allclose(alpha[0, 24, 43, 0], wanted, atol=1e-6)
