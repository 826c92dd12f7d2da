"""Gaussian splatting on the CPU: the compiled rasteriser as a torch function."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.splatting.inputs import GaussianTensors, RasterSettings
from endosfm3d_ros.splatting.library import (
    SplatGradients,
    SplatImages,
    SplatScene,
    load_library,
)

# Pairs of a Gaussian and a tile it touches that are in memory at once, about 56 bytes each with
# RGB + depth. Scenes with more are rendered band by band, with the same result.
HELD_ENTRIES = 4 << 20

LARGEST_TEAM = 64  # threads

GEOMETRY = ("means", "quats", "scales", "opacities", "viewmats")  # what shapes the footprints

INFO_KEYS = ("radii", "means2d", "depths", "conics")


def rasterize_on_cpu(
    gaussians: GaussianTensors, settings: RasterSettings
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Renders [C, H, W, K], alphas [C, H, W, 1] and per-Gaussian info, see `rasterization`.

    Raises ConfigurationError where the compiled library is missing and cannot be built, and
    InputError where the scene does not fit into memory.
    """
    outputs = _Rasterize.apply(settings, *vars(gaussians).values())
    return outputs[0], outputs[1], dict(zip(INFO_KEYS, outputs[2:]))


def set_threads(count: int) -> None:
    """Renders on at most `count` threads of this process; at first on all cores it may use.

    Not torch's number: torch's threads wait for each other at every operation and stall when
    something else uses the cores, ours do not (csrc/workers.hpp). A live process on few cores does
    best with one torch thread and all cores here. The image is the same for any number.
    Raises InputError for a count below one.
    """
    if count < 1:
        raise InputError(f"{count} threads: accepted are 1 to {LARGEST_TEAM}")
    _Rasterize.threads = min(count, LARGEST_TEAM)


class _State:
    """Owns what a forward pass keeps for its backward pass."""

    def __init__(self, address: int | None, scene: SplatScene) -> None:
        if address is None:
            raise InputError(
                f"{scene.count} Gaussians in {scene.cameras} images of {scene.width}x"
                f"{scene.height} pixels do not fit into memory: accepted are fewer or smaller ones"
            )
        self.address = address

    def __del__(self) -> None:
        if hasattr(self, "address"):
            load_library().splat_release(self.address)


class _Rasterize(torch.autograd.Function):
    threads = min(len(os.sched_getaffinity(0)), LARGEST_TEAM)

    @staticmethod
    def forward(ctx: Any, settings: RasterSettings, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        dense = [None if tensor is None else tensor.contiguous() for tensor in inputs]
        scene = _describe(GaussianTensors(*dense), settings)
        outputs = _allocate(scene, dense[0])
        address = load_library().splat_forward(
            ctypes.byref(scene), ctypes.byref(SplatImages(*map(_pointer, outputs)))
        )
        ctx.state = _State(address, scene)
        ctx.settings = settings
        ctx.save_for_backward(*dense)
        ctx.mark_non_differentiable(*outputs[2:])
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = GaussianTensors(*ctx.saved_tensors)
        scene = _describe(inputs, ctx.settings)
        incoming = [None if given is None else given.contiguous() for given in upstream[:2]]
        gradients = _allocate_gradients(inputs, scene, _only_colors(ctx.needs_input_grad[1:]))
        failed = load_library().splat_backward(
            ctx.state.address,
            ctypes.byref(scene),
            ctypes.byref(
                SplatGradients(
                    *map(_pointer, incoming),
                    **{name: _pointer(value) for name, value in gradients.items()},
                )
            ),
        )
        if failed:
            raise InputError(f"the gradients of {scene.count} Gaussians do not fit into memory")
        return (None, *(gradients.get(name) for name in vars(inputs)))


def _describe(gaussians: GaussianTensors, settings: RasterSettings) -> SplatScene:
    """The C description; valid while the tensors live and are dense."""
    only_depth = settings.render_mode in ("D", "ED")
    depth = {"RGB": 0, "D": 1, "RGB+D": 1, "ED": 2, "RGB+ED": 2}[settings.render_mode]
    return SplatScene(
        *map(_pointer, vars(gaussians).values()),
        count=gaussians.means.shape[0],
        held_entries=HELD_ENTRIES,
        cameras=gaussians.viewmats.shape[0],
        color_channels=0 if only_depth else gaussians.colors.shape[-1],
        colors_per_camera=gaussians.colors.dim() == 3,
        width=settings.width,
        height=settings.height,
        depth=depth,
        antialiased=settings.rasterize_mode == "antialiased",
        threads=_Rasterize.threads,
        near_plane=settings.near_plane,
        far_plane=settings.far_plane,
        radius_clip=settings.radius_clip,
        eps2d=settings.eps2d,
    )


def _only_colors(asked_for: tuple[bool, ...]) -> bool:
    """Whether a quicker backward pass will do; in the order of GaussianTensors."""
    others = dict(zip(GaussianTensors.__dataclass_fields__, asked_for))
    return not any(others[name] for name in GEOMETRY)


def _allocate_gradients(
    inputs: GaussianTensors, scene: SplatScene, only_colors: bool
) -> dict[str, Tensor]:
    """Empty tensors by name, for those that the backward pass is to write."""
    appearance = ("colors", "backgrounds") if scene.color_channels else ()  # none in depth alone
    names = appearance if only_colors else (*GEOMETRY, *appearance)
    given = {name: getattr(inputs, name) for name in names}
    return {name: torch.empty_like(value) for name, value in given.items() if value is not None}


def _image_shapes(scene: SplatScene) -> list[tuple[int, ...]]:
    channels = scene.color_channels + (scene.depth != 0)
    pixels = (scene.cameras, scene.height, scene.width)
    return [(*pixels, channels), (*pixels, 1)]


def _allocate(scene: SplatScene, like: Tensor) -> list[Tensor]:
    c, n = scene.cameras, scene.count
    return [
        *(like.new_empty(shape) for shape in _image_shapes(scene)),
        like.new_empty((c, n, 2), dtype=torch.int32),
        like.new_empty((c, n, 2)),
        like.new_empty((c, n)),
        like.new_empty((c, n, 3)),
    ]


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
