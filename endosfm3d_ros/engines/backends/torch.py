"""The torch network itself: the reference of every other back end and the last resort."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from endosfm3d_ros.engines.backend import BackEnd, BuildSource
from endosfm3d_ros.engines.engine import Engine
from endosfm3d_ros.engines.settings import EngineSettings


class TorchEngine(Engine):
    """A torch module on the CPU in float32; its threads are those of the torch process."""

    def __init__(self, source: BuildSource) -> None:
        super().__init__(source.recipe.inputs, source.outputs)
        self._module = source.module

    def _execute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        from endosfm3d_ros.engines.export import run_module

        return run_module(self._module, inputs, tuple(spec.name for spec in self.outputs))


class TorchBackEnd(BackEnd):
    """Loads the module at every start; nothing is stored."""

    name: ClassVar[str] = "torch"
    precisions: ClassVar[tuple[str, ...]] = ("f32",)
    stored: ClassVar[bool] = False

    def version(self) -> str:
        """Version of torch."""
        import torch

        return torch.__version__

    def build(self, source: BuildSource, settings: EngineSettings, precision: str) -> Engine:
        """The module behind the engine interface, on the device of the settings."""
        if settings.resolved_device() == "cpu":
            return TorchEngine(source)
        return on_gpu(source, settings)


def on_gpu(source: BuildSource, settings: EngineSettings) -> Engine:
    """The module on the GPU, in float32 without TF32, its launches recorded as a graph."""
    import copy

    import torch

    from endosfm3d_ros.engines.device_engine import DeviceEngine
    from endosfm3d_ros.engines.device_session import DeviceSession
    from endosfm3d_ros.engines.torch_program import TorchProgram

    inputs, outputs = source.recipe.inputs, source.outputs
    torch.backends.cudnn.allow_tf32 = False  # convolutions; matrix products have none by default
    module = copy.deepcopy(source.module).cuda()  # the reference stays on the processor
    program = TorchProgram(module, inputs, outputs, "cuda")
    return DeviceEngine(DeviceSession(inputs, outputs, program, "cuda", graph=settings.cuda_graph))


def create() -> BackEnd:
    """The torch back end."""
    return TorchBackEnd()
