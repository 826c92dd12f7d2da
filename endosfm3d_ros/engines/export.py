"""Torch module to ONNX file with static shapes, typed by precision, and a card beside it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.half import in_precision
from endosfm3d_ros.errors import ConfigurationError

OPSET = 18  # the newest that TensorRT 10, ONNX Runtime and OpenVINO all read in full


@dataclass(frozen=True)
class ModelCard:
    """What an ONNX file holds; written as JSON beside it."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: str  # fingerprint of weights and code
    onnx_sha256: str
    precision: str = "f32"
    full_precision: tuple[str, ...] = ()  # submodules that are float32 all the same
    opset: int = OPSET
    torch: str = torch.__version__
    description: dict[str, str] = field(default_factory=dict)  # value range, normalisation, ..

    def to_json(self) -> str:
        """Readable JSON."""
        return json.dumps(asdict(self), indent=2)


def run_module(
    module: nn.Module, inputs: dict[str, np.ndarray], output_names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Outputs of the torch module by name; inputs are given to it in the order of the dict.

    Raises:
        ConfigurationError: the module returns another number of outputs than were named.
    """
    with torch.inference_mode():
        outputs = module(*(torch.from_numpy(array) for array in inputs.values()))
    outputs = (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)
    if len(outputs) != len(output_names):
        raise ConfigurationError(
            f"the network returns {len(outputs)} outputs, {len(output_names)} names were given: "
            f"{', '.join(output_names)}"
        )
    return {name: value.float().numpy() for name, value in zip(output_names, outputs)}


def export_onnx(
    module: nn.Module,
    inputs: dict[str, np.ndarray],
    output_names: tuple[str, ...],
    path: Path,
    *,
    precision: str = "f32",
    full_precision: tuple[str, ...] = (),
    source: str = "",
    description: dict[str, str] | None = None,
) -> ModelCard:
    """Write `path` and `path` with suffix `.json`.

    `inputs` are examples whose shapes become the shapes of the file, in the order of the
    module's arguments. Output shapes in the file are compared with those that torch returns,
    because a wrong trace still runs and answers with another size.

    Inputs and outputs are float32 in every `precision`; between them f16 and bf16 hold weights
    and arithmetic in that type, apart from the submodules named in `full_precision`.

    Raises:
        ConfigurationError: the file states other output shapes than the module returns.
    """
    module = module.eval()
    reference = run_module(module, inputs, output_names)
    module = in_precision(module, precision, full_precision)
    examples = tuple(torch.from_numpy(array) for array in inputs.values())
    with _quiet_and_unfused(), torch.no_grad():
        torch.onnx.export(
            module,
            examples,
            path,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(output_names),
            dynamo=False,  # the other exporter needs onnxscript, this one only onnx
        )
    outputs = tuple(TensorSpec(name, value.shape) for name, value in reference.items())
    _state_shapes(path, outputs)
    card = ModelCard(
        name=path.stem,
        inputs=tuple(TensorSpec(name, value.shape) for name, value in inputs.items()),
        outputs=outputs,
        source=source,
        precision=precision,
        full_precision=full_precision if precision != "f32" else (),
        onnx_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        description=description or {},
    )
    path.with_suffix(".json").write_text(card.to_json() + "\n")
    return card


def _state_shapes(path: Path, outputs: tuple[TensorSpec, ...]) -> None:
    """Compare the output shapes in the file with torch's, and enter axes that it leaves open."""
    model = onnx.load(path)
    for value, spec in zip(model.graph.output, outputs):
        axes = value.type.tensor_type.shape.dim
        stated = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)
        agree = all(a in (None, b) for a, b in zip(stated, spec.shape))
        if value.name != spec.name or len(stated) != len(spec.shape) or not agree:
            raise ConfigurationError(
                f"exported output '{value.name}' has shape {stated}, torch returns '{spec.name}' "
                f"with {spec.shape}"
            )
        for axis, size in zip(axes, spec.shape):
            axis.dim_value = size
    onnx.save(model, path)


@contextmanager
def _quiet_and_unfused() -> Iterator[None]:
    """Mute torch's notices about its exporters, and keep attention out of its fused kernel.

    The notices tell developers about the other exporter; the fused kernel has no ONNX form.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
