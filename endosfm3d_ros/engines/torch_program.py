"""A torch module as a program of a device session: it sees addresses only, as TensorRT does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.memory import tensor_at


class TorchProgram:
    """Runs a module on foreign memory.

    Args:
        module: in evaluation mode, on `device`; takes the inputs in the order of `inputs`.
        inputs, outputs: what it takes and gives.
        device: cuda or cpu.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        device: str,
    ) -> None:
        self._module, self._inputs, self._outputs, self._device = module, inputs, outputs, device
        self._specs = {spec.name: spec for spec in (*inputs, *outputs)}
        self._tensors: dict[str, Tensor] = {}

    def bind(self, name: str, address: int) -> None:
        """Read an input from, or write an output to, this address."""
        self._tensors[name] = tensor_at(address, self._specs[name], self._device)

    def enqueue(self, stream: int) -> None:
        """Queue one run on the stream of that handle."""
        with torch.inference_mode(), self._on(stream):
            results = self._module(*(self._tensors[spec.name] for spec in self._inputs))
            results = (results,) if isinstance(results, Tensor) else results
            for spec, result in zip(self._outputs, results):
                self._tensors[spec.name].copy_(result)

    @contextmanager
    def _on(self, stream: int) -> Iterator[None]:
        if self._device == "cpu" or torch.cuda.current_stream().cuda_stream == stream:
            yield
            return
        with torch.cuda.stream(torch.cuda.ExternalStream(stream)):
            yield
