"""OpenVINO on the CPU: float32 as the network was trained, bfloat16 where the processor has it,
int8 with what int8 leaves alone in bfloat16.

Stored is the compiled model (`export_model`): 0.8 s from file to engine against 2.9 s for
compiling its graph again (24 M parameters, 2 cores).
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from endosfm3d_ros.engines.backend import BackEnd, BackEndError, BuildSource, required
from endosfm3d_ros.engines.device import processor_signature
from endosfm3d_ros.engines.engine import Engine, TensorSpec
from endosfm3d_ros.engines.quantisation import quantised
from endosfm3d_ros.engines.settings import EngineSettings

if TYPE_CHECKING:
    from openvino import CompiledModel, Core

log = logging.getLogger(__name__)


class OpenVinoEngine(Engine):
    """One compiled model with one request."""

    def __init__(
        self,
        model: CompiledModel,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        super().__init__(inputs, outputs)
        self.model = model
        self._request = model.create_infer_request()

    def _execute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = self._request.infer(inputs, share_inputs=True)
        return {spec.name: results[spec.name] for spec in self.outputs}


class OpenVinoBackEnd(BackEnd):
    """Compiles the ONNX file for this processor."""

    name: ClassVar[str] = "openvino"
    precisions: ClassVar[tuple[str, ...]] = ("f32", "bf16", "int8")

    def version(self) -> str:
        """Version and build of OpenVINO."""
        return required("openvino").get_version()

    def device(self) -> str:
        """The processor: compiled models hold code paths chosen for its instructions."""
        return processor_signature()

    def precision(self, wanted: str) -> str:
        """f32 in place of bf16 where the processor has no bfloat16."""
        supported = super().precision(wanted)
        if supported == "bf16" and not self._has_bf16:
            log.warning("this processor has no bfloat16: OpenVINO engines run in f32")
            return "f32"
        return supported

    def build(self, source: BuildSource, settings: EngineSettings, precision: str) -> Engine:
        """Compile the ONNX file."""
        onnx = source.onnx()
        try:
            model = self._core.read_model(onnx)
            if precision == "int8":
                model = quantised(model, source)
            compiled = self._core.compile_model(model, "CPU", self._options(settings, precision))
        except RuntimeError as error:
            raise BackEndError(f"OpenVINO: {_reason(error)}") from error
        return OpenVinoEngine(compiled, source.recipe.inputs, source.outputs)

    def to_bytes(self, engine: Engine) -> bytes:
        """The compiled model."""
        return engine.model.export_model().getvalue()

    def from_bytes(
        self,
        blob: np.ndarray,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        settings: EngineSettings,
        precision: str,
    ) -> Engine:
        """The compiled model as it was stored."""
        try:
            tensor = required("openvino").Tensor(blob)
            model = self._core.import_model(tensor, "CPU", self._options(settings, precision))
        except RuntimeError as error:
            raise BackEndError(f"OpenVINO: {_reason(error)}") from error
        return OpenVinoEngine(model, inputs, outputs)

    @cached_property
    def _core(self) -> Core:
        return required("openvino").Core()

    @property
    def _has_bf16(self) -> bool:
        return "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def _options(self, settings: EngineSettings, precision: str) -> dict[str, Any]:
        """Compile options. Without the hint OpenVINO picks bf16 by itself where it can."""
        if precision == "int8":  # of the layers that are not int8
            precision = "bf16" if self._has_bf16 else "f32"
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # other stages share these cores
        }
        return options | ({"INFERENCE_NUM_THREADS": settings.threads} if settings.threads else {})


def _reason(error: RuntimeError) -> str:
    """The last line of OpenVINO's message, which is the one that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown error"


def create() -> BackEnd:
    """The OpenVINO back end."""
    return OpenVinoBackEnd()
