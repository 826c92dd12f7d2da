"""ONNX files that somebody else made: fixed to one size, given the package's names, and run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message
from onnx.checker import ValidationError

from endosfm3d_ros.errors import ConfigurationError


def fixed_onnx(path: Path, input_name: str, shape: tuple[int, ...], output_name: str) -> bytes:
    """A file with one input and one output, under these names and for this shape only.

    Raises:
        ConfigurationError: the file cannot be read, has more inputs or outputs, or does not take
            that shape.
    """
    model = _read(path)
    graph = model.graph
    initial = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initial]
    if (len(inputs), len(graph.output)) != (1, 1):
        raise ConfigurationError(
            f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs: "
            "one of each is accepted"
        )
    _fix_shape(path, inputs[0], shape)
    del graph.value_info[:]  # shapes of before
    for axis in graph.output[0].type.tensor_type.shape.dim:
        axis.Clear()
    _rename(graph, inputs[0].name, input_name)
    _rename(graph, graph.output[0].name, output_name)
    return model.SerializeToString()


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
        _require_whole(path, model)
        onnx.checker.check_model(model)
    except (OSError, ValueError, DecodeError, ValidationError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"{path} is no readable ONNX file ({reason})") from error
    return model


def _require_whole(path: Path, model: onnx.ModelProto) -> None:
    """Weights in other files are paths that the author of the model chose.

    Raises:
        ConfigurationError: a tensor lies elsewhere.
    """
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and message.data_location:
            raise ConfigurationError(
                f"{path} keeps the tensor '{message.name}' in another file: save the model with "
                "everything inside, which is what is accepted"
            )


def _messages(message: Message) -> Iterator[Message]:
    """A protobuf message and all within it, whatever their kind."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, Iterable) else (value,):
                yield from _messages(part)


def _fix_shape(path: Path, value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    axes = value.type.tensor_type.shape.dim
    stated = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)
    if len(stated) != len(shape) or not all(a in (None, b) for a, b in zip(stated, shape)):
        raise ConfigurationError(f"{path} takes {list(stated)}, its card says {list(shape)}")
    for axis, size in zip(axes, shape):
        axis.dim_value = size


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Everywhere; a tensor that has the new name already gets another one."""
    if old == new:
        return
    if any(new in node.output for node in graph.node):
        _rename(graph, new, f"{new}_inside")
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new


def run_onnx(model: bytes, inputs: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """Outputs by name in float32: ONNX Runtime without rewriting where installed, else OpenVINO.

    Raises:
        ConfigurationError: neither is installed, or it cannot run the file.
    """
    run = _run_runtime if find_spec("onnxruntime") else _run_openvino
    try:
        return run(model, inputs)
    except ImportError as error:
        raise ConfigurationError(
            "ONNX files need the package onnxruntime or openvino: pip install onnxruntime"
        ) from error
    except (RuntimeError, ValueError) as error:  # both raise subclasses of these
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise ConfigurationError(f"the ONNX file cannot be run: {reason}") from error


def _run_runtime(model: bytes, inputs: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return [dict(zip(names, session.run(None, one))) for one in inputs]


def _run_openvino(model: bytes, inputs: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
    compiled = core.compile_model(core.read_model(model), "CPU", hints)
    names = [output.any_name for output in compiled.outputs]
    return [
        {name: value.copy() for name, value in zip(names, compiled(one).to_tuple())}
        for one in inputs
    ]
