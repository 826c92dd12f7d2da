"""Generated scenes, and the comparison of a render and its gradients with the oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from endosfm3d_ros.splatting.rasterization import rasterization

WIDTH, HEIGHT = 70, 52  # no multiples of the tile size
FOCAL = 60.0
NAMES = ("means", "quats", "scales", "opacities", "colors", "viewmats", "backgrounds")


@dataclass(frozen=True)
class Scene:
    """The tensors of one call, float32, and the image size."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    backgrounds: Tensor | None = None
    width: int = WIDTH
    height: int = HEIGHT

    def arguments(self, dtype: torch.dtype = torch.float32, gradients: bool = False) -> dict:
        """Keyword arguments for either rasteriser; fresh leaf tensors."""
        arguments = dict(vars(self))
        for name, value in arguments.items():
            if isinstance(value, Tensor):
                copy = value.detach().to(dtype).clone()
                arguments[name] = copy.requires_grad_(gradients and name != "Ks")
        return arguments


def intrinsics(width: int, height: int, focal: float, cameras: int = 1) -> Tensor:
    """[C, 3, 3] with a principal point beside the image centre."""
    matrix = [[focal, 0.0, 0.48 * width], [0.0, 1.05 * focal, 0.53 * height], [0.0, 0.0, 1.0]]
    return torch.tensor(matrix).repeat(cameras, 1, 1)


def cameras(count: int) -> Tensor:
    """[C, 4, 4] looking at the scene from slightly different places, each turned a little."""
    views = torch.eye(4).repeat(count, 1, 1)
    for c in range(count):
        angle = torch.tensor(0.08 * c)
        views[c, 0, 0] = views[c, 2, 2] = angle.cos()
        views[c, 0, 2], views[c, 2, 0] = angle.sin(), -angle.sin()
        views[c, :3, 3] = torch.tensor([0.03, -0.02, 0.05]) * c
    return views


def random_scene(
    seed: int, count: int = 200, channels: int = 3, cameras_count: int = 1,
    sigma_px: float = 2.5, width: int = WIDTH, height: int = HEIGHT, focal: float = FOCAL,
) -> Scene:  # fmt: skip
    """Gaussians in front of the cameras, some of them beside the image."""
    g = torch.Generator().manual_seed(seed)
    z = 0.6 + torch.rand(count, generator=g)
    x = (torch.rand(count, generator=g) * 1.3 - 0.65) * width / focal * z
    y = (torch.rand(count, generator=g) * 1.3 - 0.65) * height / focal * z
    spread = 0.3 + 1.4 * torch.rand(count, 3, generator=g)
    return Scene(
        means=torch.stack([x, y, z], -1),
        quats=torch.randn(count, 4, generator=g),
        scales=spread * (sigma_px * z / focal)[:, None],
        opacities=torch.rand(count, generator=g),
        colors=torch.rand(count, channels, generator=g),
        viewmats=cameras(cameras_count),
        Ks=intrinsics(width, height, focal, cameras_count),
        width=width,
        height=height,
    )


def with_backgrounds(scene: Scene) -> Scene:
    """The same scene before a coloured background."""
    shape = (len(scene.viewmats), scene.colors.shape[-1])
    return replace(scene, backgrounds=torch.rand(shape, generator=torch.Generator().manual_seed(9)))


def compare(scene: Scene, oracle, margin: float = 1e-4, **options) -> dict[str, float]:
    """Largest errors against the oracle in double precision.

    "renders" relative to the largest value of their channel where that exceeds one, "alphas"
    absolute, each gradient relative to its tensor's largest. Pixels with a decision (threshold,
    clamp, stop) that hangs on less than `margin` are left out: rounding may decide them either way.
    """
    ours = scene.arguments(gradients=True)
    theirs = scene.arguments(torch.float64, gradients=True)
    render, alpha, _ = rasterization(**ours, **options)
    wanted, wanted_alpha, info = oracle.rasterization(**theirs, **options)
    decided = (info["margin"] > margin)[..., None]
    assert decided.double().mean() > 0.9, "too few pixels to compare"

    g = torch.Generator().manual_seed(5)
    weight = torch.randn(wanted.shape, generator=g, dtype=torch.float64) * decided
    weight_alpha = torch.randn(wanted_alpha.shape, generator=g, dtype=torch.float64) * decided
    loss = (render * weight.float()).sum() + (alpha * weight_alpha.float()).sum()
    loss.backward()
    ((wanted * weight).sum() + (wanted_alpha * weight_alpha).sum()).backward()

    size = wanted.detach().abs().amax((0, 1, 2)).clamp(min=1.0)
    errors = {
        "renders": (((render - wanted) * decided).abs() / size).max().item(),
        "alphas": ((alpha - wanted_alpha) * decided).abs().max().item(),
    }
    for name in NAMES:
        if theirs[name] is not None and theirs[name].grad is not None:
            errors[f"gradient {name}"] = relative_error(ours[name].grad, theirs[name].grad)
    return errors


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """Largest difference over the largest wanted value; zero where both are zero."""
    assert found.isfinite().all()
    largest = wanted.abs().max().clamp(min=1e-12)
    return ((found - wanted).abs().max() / largest).item()


def assert_close(errors: dict[str, float], forward: float, gradient: float) -> None:
    """Fails naming every part that exceeds its bound."""
    bad = {
        name: value
        for name, value in errors.items()
        if not value <= (gradient if name.startswith("gradient") else forward)
    }
    assert not bad, bad


def render_with_gradients(scene: Scene, **options) -> list[Tensor]:
    """Renders, alphas, info and all gradients of one fixed loss."""
    arguments = scene.arguments(gradients=True)
    render, alpha, info = rasterization(**arguments, **options)
    g = torch.Generator().manual_seed(3)
    loss = (render * torch.randn(render.shape, generator=g)).sum()
    (loss + (alpha * torch.randn(alpha.shape, generator=g)).sum()).backward()
    leaves = [arguments[name] for name in NAMES if arguments[name] is not None]
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    return [render.detach(), alpha.detach(), *info.values(), *gradients]
