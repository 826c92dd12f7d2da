"""Pointers, streams and shapes of one network on a device, for whatever computes it.

    program.bind(name, address)     where an input is read from, or an output written to
    program.enqueue(stream)         queue one run on a CUDA stream handle (0 on the processor)

A program knows nothing else, so TensorRT (`tensor_rt.program`) and torch (`torch_program`) run
through the very same code. On the processor there are no streams and no pinned memory; the rest
is the same, so most of it is tested without a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.memory import torch_dtype
from endosfm3d_ros.errors import InputError

log = logging.getLogger(__name__)


class DeviceProgram(Protocol):
    """What computes the outputs from the inputs."""

    def bind(self, name: str, address: int) -> None:
        """Read an input from, or write an output to, this device address from now on."""

    def enqueue(self, stream: int) -> None:
        """Queue one run; it reads and writes what was bound last."""


class DeviceSession:
    """Runs a program on arrays of the host or on tensors of the device. Not safe for threads.

    Args:
        inputs, outputs: static shapes; all tensors are contiguous.
        program: computes.
        device: cuda or cpu.
        graph: record the launches of a run once and replay them (CUDA only). A program that
            cannot be recorded runs without, which is logged.
    """

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        program: DeviceProgram,
        device: str = "cuda",
        graph: bool = True,
    ) -> None:
        self.inputs, self.outputs, self.device = inputs, outputs, device
        self._program = program
        self._stream = torch.cuda.Stream() if device == "cuda" else None
        self._on_device = {spec.name: self._empty(spec) for spec in (*inputs, *outputs)}
        pinned = self._stream is not None
        self._on_host = {
            spec.name: torch.empty(spec.shape, dtype=torch_dtype(spec), pin_memory=pinned)
            for spec in (*inputs, *outputs)
        }
        self._bound: dict[str, int] = {}
        self._graph: torch.cuda.CUDAGraph | None = None
        if graph and self._stream is not None:
            self._record()

    @property
    def recorded(self) -> bool:
        """Whether runs replay a graph."""
        return self._graph is not None

    def run_arrays(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays of the host to new arrays of the host, through pinned memory."""
        with self._own_stream():
            for spec in self.inputs:
                staged = self._on_host[spec.name]
                staged.copy_(torch.from_numpy(inputs[spec.name]))
                self._on_device[spec.name].copy_(staged, non_blocking=True)
            self._run(self._on_device)
            for spec in self.outputs:
                self._on_host[spec.name].copy_(self._on_device[spec.name], non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        return {spec.name: self._on_host[spec.name].numpy().copy() for spec in self.outputs}

    def run_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of the device to new tensors of the device; nothing waits for the host.

        Without a graph the program reads the given and writes the returned memory itself; with
        one, whose addresses are fixed, they are copied on the device.

        Raises:
            InputError: an input is on another device, of another shape or type, or not contiguous.
        """
        for spec in self.inputs:
            self._check(spec, inputs[spec.name])
        with self._own_stream():
            if self.recorded:
                for spec in self.inputs:
                    self._on_device[spec.name].copy_(inputs[spec.name])
                self._run(self._on_device)
                results = {spec.name: self._on_device[spec.name].clone() for spec in self.outputs}
            else:
                results = {spec.name: self._empty(spec) for spec in self.outputs}
                self._run(inputs | results)
        self._share(inputs, results)
        return results

    def _run(self, tensors: dict[str, Tensor]) -> None:
        """One run on the current stream, which is the session's own."""
        if self._graph is not None:
            self._graph.replay()
            return
        self._bind(tensors)
        self._program.enqueue(self._handle)

    def _bind(self, tensors: dict[str, Tensor]) -> None:
        """Tell the program the addresses that changed since the last run."""
        for spec in (*self.inputs, *self.outputs):
            address = tensors[spec.name].data_ptr()
            if self._bound.get(spec.name) != address:
                self._program.bind(spec.name, address)
                self._bound[spec.name] = address

    @property
    def _handle(self) -> int:
        return self._stream.cuda_stream if self._stream is not None else 0

    def _record(self) -> None:
        """Record one run; two runs before it let the program allocate what it needs."""
        with self._own_stream():
            for spec in self.inputs:
                self._on_device[spec.name].zero_()
            self._bind(self._on_device)
            for _ in range(2):
                self._program.enqueue(self._handle)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._program.enqueue(self._handle)
        except RuntimeError as error:
            log.warning("runs are not recorded as a CUDA graph: %s", str(error).splitlines()[0])
            return
        self._graph = graph

    def _empty(self, spec: TensorSpec) -> Tensor:
        return torch.empty(spec.shape, dtype=torch_dtype(spec), device=self.device)

    def _check(self, spec: TensorSpec, tensor: Tensor) -> None:
        described = tensor.device.type, tuple(tensor.shape), tensor.dtype
        if described != (self.device, spec.shape, torch_dtype(spec)) or not tensor.is_contiguous():
            raise InputError(
                f"tensor '{spec.name}' is {tensor.dtype}{list(tensor.shape)} on "
                f"{tensor.device.type}, accepted is contiguous {spec.dtype}{list(spec.shape)} on "
                f"{self.device}"
            )

    @contextmanager
    def _own_stream(self) -> Iterator[None]:
        """The session's stream is the current one, and begins after what the caller queued."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield

    def _share(self, inputs: dict[str, Tensor], results: dict[str, Tensor]) -> None:
        """Let the caller's stream wait for the results, and no memory be reused before that."""
        if self._stream is None:
            return
        callers = torch.cuda.current_stream()
        callers.wait_stream(self._stream)
        for tensor in inputs.values():
            tensor.record_stream(self._stream)
        for tensor in results.values():
            tensor.record_stream(callers)
