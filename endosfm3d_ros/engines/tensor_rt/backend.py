"""TensorRT as a back end of `obtain_engine`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from endosfm3d_ros.engines.backend import BackEnd, BackEndError, BuildSource
from endosfm3d_ros.engines.device import cuda_obstacle, gpu_signature
from endosfm3d_ros.engines.engine import Engine, TensorSpec
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.engines.tensor_rt.builder import Plan, build_plan
from endosfm3d_ros.engines.tensor_rt.flavour import TensorRtFlavour

if TYPE_CHECKING:
    from endosfm3d_ros.engines.device_engine import DeviceEngine


class TensorRtBackEnd(BackEnd):
    """Compiles strongly typed ONNX files; runs them on the GPU that torch uses."""

    precisions: ClassVar[tuple[str, ...]] = ("f32", "bf16", "f16")

    def __init__(self, name: str, flavour: TensorRtFlavour) -> None:
        self.name, self.flavour = name, flavour

    def version(self) -> str:
        """Version of the package."""
        return self.flavour.module.__version__

    def device(self) -> str:
        """GPU and driver; nothing where plans run on every card."""
        if self.flavour.portable:
            return "any RTX card"
        self.require()
        return gpu_signature()

    def require(self) -> None:
        """The package and a GPU."""
        self.version()
        if obstacle := cuda_obstacle():
            raise BackEndError(f"{self.flavour.title} needs CUDA: {obstacle}")

    def plan(self, source: BuildSource, settings: EngineSettings, precision: str) -> Plan:
        """The serialised engine, whether or not it can run here.

        Raises:
            BackEndError: no plan comes out, or one with other inputs or outputs.
        """
        timings = None
        if self.flavour.times_tactics:
            label = f"{self.name}-{self.version()}-{gpu_signature()}"
            timings = settings.cache_dir / f"{label}.timings"
        plan = build_plan(self.flavour, source.onnx(precision), source.report, timings)
        _compare("inputs", plan.inputs, source.recipe.inputs)
        _compare("outputs", plan.outputs, source.outputs)
        return plan

    def build(self, source: BuildSource, settings: EngineSettings, precision: str) -> Engine:
        """Compile and load."""
        self.require()
        plan = self.plan(source, settings, precision)
        engine = self._loaded(plan.blob, plan.inputs, plan.outputs, settings)
        engine.plan = plan.blob
        return engine

    def to_bytes(self, engine: Engine) -> bytes:
        """The plan of an engine that was just built."""
        plan, engine.plan = engine.plan, b""
        return plan

    def from_bytes(
        self,
        blob: np.ndarray,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        settings: EngineSettings,
        precision: str,
    ) -> Engine:
        """Load a plan of the same version and device."""
        self.require()
        return self._loaded(blob.tobytes(), inputs, outputs, settings)

    def _loaded(
        self,
        plan: bytes,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        settings: EngineSettings,
    ) -> DeviceEngine:
        import torch

        from endosfm3d_ros.engines.device_engine import DeviceEngine
        from endosfm3d_ros.engines.device_session import DeviceSession
        from endosfm3d_ros.engines.tensor_rt.program import TensorRtProgram

        free, _ = torch.cuda.mem_get_info()
        program = TensorRtProgram(self.flavour, plan, free)
        _compare("inputs", program.inputs, inputs)
        _compare("outputs", program.outputs, outputs)
        return DeviceEngine(
            DeviceSession(inputs, outputs, program, "cuda", graph=settings.cuda_graph)
        )


def _compare(what: str, found: tuple[TensorSpec, ...], wanted: tuple[TensorSpec, ...]) -> None:
    """Raise BackEndError where names, shapes or types differ; the order does not matter."""
    if set(found) != set(wanted):
        raise BackEndError(f"the engine has {what} {_listed(found)}, not {_listed(wanted)}")


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)
