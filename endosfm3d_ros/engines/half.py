"""A network with most of its layers in half precision, so that its ONNX file carries the types.

TensorRT runs strongly typed files as they are written; what must stay float32 is decided here
and not left to a builder.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

TYPES = {"f16": torch.float16, "bf16": torch.bfloat16}


class _FloatOutputs(nn.Module):
    """Gives every output as float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...] | Tensor:
        outputs = self.module(*inputs)
        if isinstance(outputs, Tensor):
            return outputs.float()
        return tuple(output.float() for output in outputs)


def in_precision(module: nn.Module, precision: str, full_precision: tuple[str, ...]) -> nn.Module:
    """A copy that computes in `precision` (f32: the module itself).

    Args:
        module: in evaluation mode, float32.
        precision: f32, f16 or bf16.
        full_precision: submodules by name that stay float32, with all below them.
    """
    if precision == "f32":
        return module
    converted = copy.deepcopy(module)
    for name, layer in converted.named_modules():
        full = any(name == kept or name.startswith(f"{kept}.") for kept in full_precision)
        dtype = torch.float32 if full else TYPES[precision]
        _convert(layer, dtype)
        if not list(layer.children()):
            layer.register_forward_pre_hook(_casting(dtype))
    return _FloatOutputs(converted).eval()


def _convert(layer: nn.Module, dtype: torch.dtype) -> None:
    """Its own parameters and buffers, not those of layers inside."""
    for parameter in layer.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)
    for name, buffer in layer.named_buffers(recurse=False):
        if buffer.is_floating_point():
            setattr(layer, name, buffer.to(dtype))


def _casting(dtype: torch.dtype) -> Callable[[nn.Module, tuple], tuple]:
    """A hook that casts what a layer is given."""

    def cast(_layer: nn.Module, inputs: tuple) -> tuple:
        return tuple(
            x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs
        )

    return cast
