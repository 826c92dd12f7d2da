"""How long one optimisation step of the tissue map takes here, rasterised on the CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from endosfm3d_ros.bench.rounds import Result, interleaved, summary
from endosfm3d_ros.splatting.rasterization import rasterization

Rasterizer = Callable[..., tuple[Tensor, Tensor, dict]]

WIDTH, HEIGHT = 320, 256  # the views that the map is refined on
GAUSSIANS = 20_000
FOCAL = 0.8 * WIDTH  # px
WARM_UP = 3


def bench_splatting(rounds: int = 15, reference: Rasterizer | None = None) -> Result:
    """{name: {"p50_ms", "p95_ms", "ratio_to": {"torch_oracle": time / time of the oracle}}}.

    A step is activations, projection, RGB + depth, L1 loss, backward pass and Adam; `render` is
    the image alone. The oracle is the tests' plain torch rasteriser, with 16 px blocks, on the
    same step; without `reference` it is taken from the checkout, and left out where there is none.
    """
    reference = reference or checkout_oracle()
    steps = {
        "splatting_step_sigma_1.5": Refinement(rasterization, sigma_px=1.5),
        "splatting_step_sigma_3": Refinement(rasterization, sigma_px=3.0),
    }
    runs: dict[str, Callable[[], object]] = {name: r.step for name, r in steps.items()}
    runs["splatting_render_sigma_1.5"] = Refinement(rasterization, sigma_px=1.5).render
    references = {}
    if reference is not None:
        runs["torch_oracle"] = Refinement(reference, sigma_px=1.5).step
        references = {"splatting_step_sigma_1.5": "torch_oracle"}
    interleaved({name: run for name, run in runs.items() if name != "torch_oracle"}, WARM_UP)
    return summary(interleaved(runs, rounds), references)


def checkout_oracle() -> Rasterizer | None:
    """The tests' torch rasteriser where this package runs from its source tree."""
    path = Path(__file__).parents[2] / "test" / "splatting" / "oracle.py"
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("splatting_oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return partial(module.rasterization, tile=16)


class Refinement:
    """A map in front of one camera that is fitted to one image.

    Args:
        rasterizer: with the signature of `rasterization`.
        sigma_px: size of the Gaussians in the image, a standard deviation of about this many px.
    """

    def __init__(self, rasterizer: Rasterizer, sigma_px: float) -> None:
        g = torch.Generator().manual_seed(0)
        z = 0.04 + 0.03 * torch.rand(GAUSSIANS, generator=g)  # m
        across = torch.rand(2, GAUSSIANS, generator=g) - 0.5
        spread = 0.6 + 0.8 * torch.rand(GAUSSIANS, 3, generator=g)
        self.parameters = {
            "means": torch.stack(
                [across[0] * WIDTH * z / FOCAL, across[1] * HEIGHT * z / FOCAL, z]
            ).T,
            "quats": torch.randn(GAUSSIANS, 4, generator=g),
            "log_scales": (spread * (sigma_px * z / FOCAL)[:, None]).log(),
            "opacity_logits": torch.logit(0.2 + 0.7 * torch.rand(GAUSSIANS, generator=g)),
            "colors": torch.rand(GAUSSIANS, 3, generator=g),
        }
        for name, value in self.parameters.items():
            self.parameters[name] = value.contiguous().requires_grad_()
        self.rasterizer = rasterizer
        self.viewmats = torch.eye(4)[None]
        self.Ks = torch.tensor([[[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]]])
        self.target = torch.rand(1, HEIGHT, WIDTH, 4, generator=g)
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=1e-4, fused=True)

    def image(self) -> Tensor:
        """[1, H, W, 4] RGB and depth."""
        p = self.parameters
        return self.rasterizer(
            p["means"],
            p["quats"],
            p["log_scales"].exp(),
            p["opacity_logits"].sigmoid(),
            p["colors"],
            self.viewmats,
            self.Ks,
            WIDTH,
            HEIGHT,
            render_mode="RGB+D",
        )[0]

    def render(self) -> Tensor:
        """The image without anything for gradients."""
        with torch.no_grad():
            return self.image()

    def step(self) -> None:
        """One step of the optimiser."""
        self.optimiser.zero_grad()
        (self.image() - self.target).abs().mean().backward()
        self.optimiser.step()
