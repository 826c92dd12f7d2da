"""A plan on the GPU, as a program of a device session."""

from __future__ import annotations

from typing import Any

from endosfm3d_ros.engines.backend import BackEndError
from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.tensor_rt.builder import numpy_type
from endosfm3d_ros.engines.tensor_rt.flavour import TensorRtFlavour
from endosfm3d_ros.engines.tensor_rt.messages import TensorRtMessages, logger_of


class TensorRtProgram:
    """Runs a plan.

    Args:
        flavour: which TensorRT.
        plan: of the same package and version.
        free_memory: bytes free on the GPU.

    Raises:
        BackEndError: the plan is for another version or GPU, is damaged, or needs more memory.
    """

    def __init__(self, flavour: TensorRtFlavour, plan: bytes, free_memory: int) -> None:
        trt, self._title = flavour.module, flavour.title
        self._messages = TensorRtMessages()
        self._logger = logger_of(trt, self._messages)
        self._runtime = trt.Runtime(self._logger)  # must outlive the engine, as must the logger
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BackEndError(f"{self._title} cannot load the engine: {self._messages.reason()}")
        needed = self._engine.device_memory_size_v2
        if needed > free_memory:
            raise BackEndError(
                f"the engine needs {needed >> 20} MiB of GPU memory, {free_memory >> 20} MiB are "
                "free"
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackEndError(f"{self._title} cannot run the engine: {self._messages.reason()}")
        self.inputs = self._specs(trt.TensorIOMode.INPUT)
        self.outputs = self._specs(trt.TensorIOMode.OUTPUT)

    def bind(self, name: str, address: int) -> None:
        """Read an input from, or write an output to, this device address."""
        if not self._context.set_tensor_address(name, address):
            raise BackEndError(f"{self._title} refuses '{name}': {self._messages.reason()}")

    def enqueue(self, stream: int) -> None:
        """Queue one run on the stream of that handle."""
        if not self._context.execute_async_v3(stream):
            raise BackEndError(f"{self._title} did not run: {self._messages.reason()}")

    def _specs(self, mode: Any) -> tuple[TensorSpec, ...]:
        """Inputs or outputs by name, as the engine states them."""
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return tuple(
            TensorSpec(
                name,
                tuple(engine.get_tensor_shape(name)),
                numpy_type(engine.get_tensor_dtype(name)),
            )
            for name in names
            if engine.get_tensor_mode(name) == mode
        )
