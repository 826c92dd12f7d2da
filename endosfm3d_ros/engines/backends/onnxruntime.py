"""ONNX Runtime on the CPU: runs wherever a wheel exists; slower than OpenVINO on x86.

Stored is the ONNX file: sessions are optimised again at each start, which takes about a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from endosfm3d_ros.engines.backend import BackEnd, BackEndError, BuildSource, required
from endosfm3d_ros.engines.device import processor_signature
from endosfm3d_ros.engines.engine import Engine, TensorSpec
from endosfm3d_ros.engines.settings import EngineSettings

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxRuntimeEngine(Engine):
    """One session."""

    def __init__(
        self,
        session: InferenceSession,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        model: bytes,
    ) -> None:
        super().__init__(inputs, outputs)
        self.model = model
        self._session = session
        self._names = [spec.name for spec in outputs]

    def _execute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._names, self._session.run(self._names, inputs)))


class OnnxRuntimeBackEnd(BackEnd):
    """The default provider of ONNX Runtime; f16 is for checking exports, not for speed."""

    name: ClassVar[str] = "onnxruntime"
    precisions: ClassVar[tuple[str, ...]] = ("f32", "f16")

    def version(self) -> str:
        """Version of ONNX Runtime."""
        return required("onnxruntime").__version__

    def device(self) -> str:
        """The processor."""
        return processor_signature()

    def build(self, source: BuildSource, settings: EngineSettings, precision: str) -> Engine:
        """Open the ONNX file."""
        model = source.onnx(precision)
        return self._opened(model, source.recipe.inputs, source.outputs, settings)

    def to_bytes(self, engine: Engine) -> bytes:
        """The ONNX file."""
        return engine.model

    def from_bytes(
        self,
        blob: np.ndarray,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        settings: EngineSettings,
        precision: str,
    ) -> Engine:
        """The ONNX file as it was stored."""
        return self._opened(blob.tobytes(), inputs, outputs, settings)

    def _opened(
        self,
        model: bytes,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        settings: EngineSettings,
    ) -> Engine:
        runtime = required("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = settings.threads
        # A waiting thread would spin on a core that other stages share.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except (RuntimeError, ValueError) as error:  # its errors are subclasses of these
            raise BackEndError(f"ONNX Runtime: {str(error).splitlines()[0]}") from error
        return OnnxRuntimeEngine(session, inputs, outputs, model)


def create() -> BackEnd:
    """The ONNX Runtime back end."""
    return OnnxRuntimeBackEnd()
