"""An ONNX file that somebody else made, on OpenVINO as it is."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.engines import Engine, EngineSettings, TensorSpec
from endosfm3d_ros.engines.backends.openvino import OpenVinoEngine
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.segmentation.card import ModelCard


class NamedOnnxEngine(Engine):
    """Gives the one input and the one output of a file the package's names."""

    def __init__(self, engine: OpenVinoEngine) -> None:
        (image,), (scores,) = engine.inputs, engine.outputs
        super().__init__((TensorSpec("image", image.shape),), (TensorSpec("scores", scores.shape),))
        self._engine = engine

    def _execute(self, inputs: dict) -> dict:
        (source,), (result,) = self._engine.inputs, self._engine.outputs
        return {"scores": self._engine.run({source.name: inputs["image"]})[result.name]}


def open_onnx(path: Path, card: ModelCard, settings: EngineSettings) -> Engine:
    """Compile a file for the input size of its card.

    Raises:
        ConfigurationError: OpenVINO is missing, cannot read the file, or the file has more than
            one input or output or does not take that size.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigurationError(f"{path} needs the package openvino: pip install it") from error
    height, width = card.input_size[::-1] if card.transposed else card.input_size
    options = {"INFERENCE_PRECISION_HINT": settings.precision, "PERFORMANCE_HINT": "LATENCY"}
    if settings.threads:
        options["INFERENCE_NUM_THREADS"] = settings.threads
    core = openvino.Core()
    try:
        model = core.read_model(path)
        if (len(model.inputs), len(model.outputs)) != (1, 1):
            raise ConfigurationError(
                f"{path} has {len(model.inputs)} inputs and {len(model.outputs)} outputs: "
                "one of each is accepted"
            )
        model.reshape([1, 3, height, width])
        compiled = core.compile_model(model, "CPU", options)
        shape = tuple(compiled.output(0).shape)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ConfigurationError(
            f"{path} cannot be run on images of {height}x{width}: {lines[-1]}"
        ) from error
    source = TensorSpec(compiled.input(0).any_name, (1, 3, height, width))
    result = TensorSpec(compiled.output(0).any_name, shape)
    return NamedOnnxEngine(OpenVinoEngine(compiled, (source,), (result,)))
