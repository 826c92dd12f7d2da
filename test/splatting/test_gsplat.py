"""The CUDA back end, and the CPU's conventions against gsplat where that is installed."""

from __future__ import annotations

import pytest
import torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.splatting.cuda import require_gsplat
from endosfm3d_ros.splatting.rasterization import rasterization


def usable_gsplat() -> bool:
    try:
        require_gsplat()
    except ConfigurationError:
        return False
    return True


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_named():
    with pytest.raises(ConfigurationError, match="needs an NVIDIA GPU"):
        require_gsplat()


@pytest.mark.skipif(not usable_gsplat(), reason="needs an NVIDIA GPU and gsplat's CUDA kernels")
@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
@pytest.mark.parametrize("render_mode", ["RGB", "D", "ED", "RGB+D", "RGB+ED"])
def test_cuda_and_cpu_agree(scenes, render_mode, rasterize_mode):
    scene = scenes.with_backgrounds(scenes.random_scene(40, cameras_count=2))
    options = {"render_mode": render_mode, "rasterize_mode": rasterize_mode}
    results = []
    for device in ("cpu", "cuda"):
        arguments = {
            name: value.to(device).detach().requires_grad_(name != "Ks")
            if isinstance(value, torch.Tensor)
            else value
            for name, value in scene.arguments().items()
        }
        render, alpha, info = rasterization(**arguments, **options)
        (render.square().mean() + alpha.square().mean()).backward()
        leaves = [a for a in arguments.values() if isinstance(a, torch.Tensor)]
        gradients = [leaf.grad.cpu() for leaf in leaves if leaf.grad is not None]
        results.append([render.detach().cpu(), alpha.detach().cpu(), *gradients])
        assert {"radii", "means2d", "depths", "conics"} <= set(info)
    for ours, theirs in zip(*results):
        # single pixels may decide a threshold the other way: up to 1/255 each
        difference = (ours - theirs).abs() / theirs.abs().max()
        assert (difference > 1e-3).double().mean() < 1e-3
        assert difference.max() < 1e-2


def test_projection_agrees_with_gsplats_torch_reference(scenes):
    reference = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    scene = scenes.random_scene(41, count=3000, cameras_count=3)
    covariances, _ = reference._quat_scale_to_covar_preci(scene.quats, scene.scales, True, False)
    _, means2d, depths, conics, _ = reference._fully_fused_projection(
        scene.means, covariances, scene.viewmats, scene.Ks, scene.width, scene.height
    )
    _, _, info = rasterization(**scene.arguments())
    seen = (info["radii"] > 0).all(-1)
    assert seen.double().mean() > 0.5
    assert (info["means2d"] - means2d)[seen].abs().max() < 1e-4
    assert (info["depths"] - depths)[seen].abs().max() < 1e-6
    assert (info["conics"] - conics)[seen].abs().max() < 1e-5 * conics[seen].abs().max()
