"""Segmentation networks as engines. Imports no torch unless one must be built."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.engines import Engine, EngineSettings, NetworkRecipe, TensorSpec, obtain_engine
from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.engines.recipe import fingerprint_of
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.segmentation.card import ONNX, ModelCard

if TYPE_CHECKING:
    from torch import nn

CODE = (
    "endosfm3d_ros.networks",
    "endosfm3d_ros.engines.export",
    "endosfm3d_ros.engines.half",
    "endosfm3d_ros.engines.onnx_file",
)
log = logging.getLogger(__name__)
MULTIPLES = {"lraspp": 16, "unet": 32}  # px; how often the own networks halve the image


def tool_engine(
    model: Path,
    card: ModelCard,
    settings: EngineSettings | None = None,
    report: Report = log.info,
) -> Engine:
    """The engine of a model file: input "image", outputs "tool" and "parts", or "scores".

    Raises:
        ConfigurationError: the file cannot be used as its card says.
    """
    engine = obtain_engine(tool_recipe(model, card), settings, report)
    if not card.own:
        check_scores(engine, model, card)
    return engine


def tool_recipe(model: Path, card: ModelCard) -> NetworkRecipe:
    """The recipe of a model file, whatever it is made of.

    Raises:
        ConfigurationError: the file cannot be used as its card says.
    """
    if card.own:
        return own_recipe(model, card)
    return onnx_recipe(model, card) if model.suffix == ONNX else script_recipe(model, card)


def own_recipe(model: Path, card: ModelCard) -> NetworkRecipe:
    """One of the package's networks with the weights of a file.

    Raises:
        ConfigurationError: an input size that the network cannot halve so often.
    """
    height, width = card.input_size
    multiple = MULTIPLES[card.network]
    if height % multiple or width % multiple:
        raise ConfigurationError(
            f"segmentation network of {height}x{width}: multiples of {multiple} are accepted"
        )

    def load() -> nn.Module:
        if card.network == "unet":
            from endosfm3d_ros.networks.student_checkpoints import load_tool_student

            return load_tool_student(model)
        from endosfm3d_ros.networks.lraspp import load_tool_network

        return load_tool_network(model)

    return NetworkRecipe(
        name=f"tools-{height}x{width}",
        inputs=(TensorSpec("image", (1, 3, height, width)),),
        output_names=("tool", "parts"),
        fingerprint=fingerprint_of([model], CODE),
        load=load,
        description={"input": "RGB in [0, 1]", "layout": "NCHW", "weights": model.parent.name},
        full_precision=("classifier", "unet.head"),
    )


def onnx_recipe(model: Path, card: ModelCard) -> NetworkRecipe:
    """An ONNX file as its card describes it."""
    height, width = input_shape(card)
    shape = (1, 3, height, width)

    def fixed() -> bytes:
        from endosfm3d_ros.engines.onnx_file import fixed_onnx

        return fixed_onnx(model, "image", shape, "scores")

    return NetworkRecipe(
        name=f"tools-{model.stem}-{height}x{width}",
        inputs=(TensorSpec("image", shape),),
        output_names=("scores",),
        fingerprint=fingerprint_of([model], CODE),
        load=None,
        onnx=fixed,
        description={"layout": "NCHW", "weights": model.parent.name, "licence": card.licence},
    )


def script_recipe(model: Path, card: ModelCard) -> NetworkRecipe:
    """A TorchScript file as its card describes it."""

    def load() -> nn.Module:
        import torch

        try:
            return torch.jit.load(str(model), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{model} is no TorchScript file ({reason})") from error

    height, width = input_shape(card)
    return NetworkRecipe(
        name=f"tools-{model.stem}-{height}x{width}",
        inputs=(TensorSpec("image", (1, 3, height, width)),),
        output_names=("scores",),
        fingerprint=fingerprint_of([model], CODE),
        load=load,
        description={"layout": "NCHW", "weights": model.parent.name, "licence": card.licence},
    )


def input_shape(card: ModelCard) -> tuple[int, int]:
    """The last two axes of the input tensor."""
    height, width = card.input_size
    return (width, height) if card.transposed else (height, width)


def check_scores(engine: Engine, model: Path, card: ModelCard) -> None:
    """Run once on grey.

    Raises:
        ConfigurationError: the output is not (1, channels, h, w) with the channels of the card,
            or is not finite.
    """
    grey = {spec.name: np.full(spec.shape, 0.5, np.float32) for spec in engine.inputs}
    scores = engine.run(grey)["scores"]
    count = len(card.channels)
    if scores.ndim != 4 or scores.shape[:2] != (1, count):
        raise ConfigurationError(
            f"{model} returns {list(scores.shape)}: its card names {count} channels, so "
            f"[1, {count}, h, w] is accepted"
        )
    if not np.isfinite(scores).all():
        raise ConfigurationError(f"{model} returns numbers that are not finite for a grey image")
