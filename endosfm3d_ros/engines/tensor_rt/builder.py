"""ONNX to a serialised engine (a plan). Needs a GPU with TensorRT, none with TensorRT for RTX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endosfm3d_ros.engines.backend import BackEndError
from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.files import read_bytes_or_nothing, write_whole
from endosfm3d_ros.engines.tensor_rt.flavour import TensorRtFlavour
from endosfm3d_ros.engines.tensor_rt.messages import TensorRtMessages, logger_of
from endosfm3d_ros.engines.tensor_rt.monitor import BuildProgress, monitor_of

NUMPY_TYPES = {"FLOAT": "float32", "HALF": "float16", "INT32": "int32", "INT64": "int64"}


@dataclass(frozen=True)
class Plan:
    """A serialised engine with its inputs and outputs as the parser read them."""

    blob: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def build_plan(
    flavour: TensorRtFlavour,
    onnx: bytes,
    report: Callable[[str], None],
    timings: Path | None = None,
) -> Plan:
    """Compile an ONNX file whose types say in which precision each layer runs.

    Args:
        flavour: which TensorRT.
        onnx: static shapes; see `export.export_onnx` for the precisions.
        report: hears the phases of the build; may raise Cancelled to stop it.
        timings: file with the kernel timings of earlier builds, read and written where the
            flavour times kernels.

    Raises:
        BackEndError: the package is missing, the file cannot be read, or no engine comes out.
        Cancelled: `report` raised it.
    """
    trt, messages = flavour.module, TensorRtMessages()
    # 1 the parsed network, all of it typed by the file
    builder = trt.Builder(logger_of(trt, messages))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(trt, network, onnx, messages, flavour.title)
    # 2 float32 means float32, and progress is heard
    config, progress = builder.create_builder_config(), BuildProgress(report)
    config.clear_flag(trt.BuilderFlag.TF32)
    config.progress_monitor = monitor_of(trt, progress)
    # 3 compiled, with the timings that earlier builds left
    keep_timings = timings if flavour.times_tactics else None
    if keep_timings:
        cache = config.create_timing_cache(read_bytes_or_nothing(keep_timings))
        config.set_timing_cache(cache, ignore_mismatch=False)
    blob = builder.build_serialized_network(network, config)
    if progress.cancelled:
        raise progress.cancelled
    if blob is None:
        raise BackEndError(f"{flavour.title} built no engine: {messages.reason()}")
    if keep_timings:
        write_whole(keep_timings, bytes(config.get_timing_cache().serialize()))
    return Plan(bytes(blob), *_tensors(network))


def _parse(trt: Any, network: Any, onnx: bytes, messages: TensorRtMessages, title: str) -> None:
    """Fill the network from the file.

    Raises:
        BackEndError: the parser refuses it; the sentence has its first complaint.
    """
    parser = trt.OnnxParser(network, logger_of(trt, messages))
    if parser.parse(onnx):
        return
    reason = parser.get_error(0).desc() if parser.num_errors else messages.reason()
    raise BackEndError(f"{title} cannot read the network: {reason}")


def _tensors(network: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a parsed network."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    return tuple(_spec(t) for t in inputs), tuple(_spec(t) for t in outputs)


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.name, tuple(tensor.shape), numpy_type(tensor.dtype))


def numpy_type(dtype: Any) -> str:
    """Numpy's name of a TensorRT type.

    Raises:
        BackEndError: networks of this package have no such inputs or outputs.
    """
    if dtype.name not in NUMPY_TYPES:
        raise BackEndError(f"a tensor of type {dtype.name}: {', '.join(NUMPY_TYPES)} are accepted")
    return NUMPY_TYPES[dtype.name]
