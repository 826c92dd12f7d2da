"""What a rasteriser is given, checked once for both back ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.errors import InputError

RENDER_MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
RASTERIZE_MODES = ("classic", "antialiased")
LARGEST_SIDE = 32768  # px; tile numbers and pixel indices stay inside 32 bits


@dataclass(frozen=True)
class RasterSettings:
    """Everything that is not a tensor; the names and defaults are gsplat's."""

    width: int
    height: int
    near_plane: float = 0.01
    far_plane: float = 1e10
    radius_clip: float = 0.0
    eps2d: float = 0.3
    render_mode: str = "RGB"
    rasterize_mode: str = "classic"

    def check(self) -> None:
        """Raises InputError naming the first value that cannot be used."""
        for name in ("width", "height"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 < value <= LARGEST_SIDE:
                raise InputError(f"{name} is {value!r}: accepted are 1 to {LARGEST_SIDE} pixels")
        _check_choice("render_mode", self.render_mode, RENDER_MODES)
        _check_choice("rasterize_mode", self.rasterize_mode, RASTERIZE_MODES)
        if not 0.0 < self.near_plane < self.far_plane:
            raise InputError(
                f"near_plane {self.near_plane} and far_plane {self.far_plane}: accepted are "
                "0 < near_plane < far_plane"
            )
        for name in ("radius_clip", "eps2d"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise InputError(f"{name} is {value}: accepted are finite values from 0 pixels on")


@dataclass(frozen=True)
class GaussianTensors:
    """The tensors of one call, in gsplat's layout."""

    means: Tensor  # [N, 3]
    quats: Tensor  # [N, 4] w x y z
    scales: Tensor  # [N, 3]
    opacities: Tensor  # [N]
    colors: Tensor  # [N, D] or [C, N, D]
    viewmats: Tensor  # [C, 4, 4]
    Ks: Tensor  # [C, 3, 3]
    backgrounds: Tensor | None  # [C, D]

    def check(self) -> None:
        """Raises InputError naming the tensor whose type, device or shape does not fit."""
        tensors = {name: value for name, value in vars(self).items() if value is not None}
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
                found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
                raise InputError(f"{name} is {found}: accepted is a torch.float32 tensor")
            if tensor.device != self.means.device or tensor.device.type not in ("cpu", "cuda"):
                raise InputError(
                    f"{name} is on {tensor.device}: accepted are cpu and cuda, and the device of "
                    f"means ({self.means.device}) for every tensor"
                )
        self._check_shapes()
        if self.Ks.device.type == "cpu":
            _check_focal_lengths(self.Ks)

    def _check_shapes(self) -> None:
        n = self.means.shape[0] if self.means.dim() else 0
        c = self.viewmats.shape[0] if self.viewmats.dim() else 0
        d = self.colors.shape[-1] if self.colors.dim() else 0
        accepted = {
            "means": [(n, 3)],
            "quats": [(n, 4)],
            "scales": [(n, 3)],
            "opacities": [(n,)],
            "colors": [(n, d), (c, n, d)],
            "viewmats": [(c, 4, 4)],
            "Ks": [(c, 3, 3)],
            "backgrounds": [(c, d)],
        }
        for name, shapes in accepted.items():
            tensor = getattr(self, name)
            if tensor is not None and tuple(tensor.shape) not in shapes:
                raise InputError(
                    f"{name} has shape {tuple(tensor.shape)}: accepted is "
                    f"{' or '.join(map(str, shapes))} for {n} Gaussians, {c} cameras, {d} channels"
                )
        if c == 0 or d == 0:
            raise InputError(f"{c} cameras and {d} colour channels: accepted is at least one each")


def _check_choice(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise InputError(f"{name} is {value!r}: accepted are {', '.join(accepted)}")


def _check_focal_lengths(intrinsics: Tensor) -> None:
    for matrix in intrinsics.tolist():
        (fx, _, cx), (_, fy, cy), _ = matrix
        if not (fx > 0.0 and fy > 0.0 and all(map(math.isfinite, (fx, fy, cx, cy)))):
            raise InputError(
                f"Ks holds fx {fx}, fy {fy}, cx {cx}, cy {cy}: accepted are finite values with "
                "positive focal lengths in pixels"
            )
