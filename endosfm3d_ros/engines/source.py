"""A network in every form that a back end may build from; each is made when it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.engines.calibration import varied
from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.recipe import NetworkRecipe, probe_inputs
from endosfm3d_ros.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

Tensors = dict[str, np.ndarray]


class BackEndError(ConfigurationError):
    """This back end cannot run the network here; another one may."""


@dataclass(frozen=True)
class BuildSource:
    """One network on its way to an engine.

    Args:
        recipe: names, shapes, and how to load it.
        images: RGB uint8 images to calibrate int8 on; None where there are none.
        report: hears what is being done.
    """

    recipe: NetworkRecipe
    images: Callable[[], list[np.ndarray]] | None = None
    report: Callable[[str], None] = log.info
    _exported: dict[str, bytes] = field(default_factory=dict, repr=False)

    @cached_property
    def module(self) -> nn.Module:
        """The torch network.

        Raises:
            BackEndError: the recipe has only an ONNX file.
        """
        if self.recipe.load is None:
            raise BackEndError(f"network '{self.recipe.name}' is an ONNX file, torch cannot run it")
        return self.recipe.load().eval()

    @cached_property
    def probe(self) -> Tensors:
        """Fixed inputs of the parity check."""
        return self.recipe.probe() if self.recipe.probe else probe_inputs(self.recipe.inputs)

    @cached_property
    def reference(self) -> Tensors:
        """What the network itself answers to the probe.

        Raises:
            InputError: the answer is not finite, so the weights cannot be used.
        """
        return self.answers([self.probe])[0]

    def answers(self, inputs: list[Tensors]) -> list[Tensors]:
        """What the network itself answers: torch, or of an ONNX file its plainest runtime.

        Raises:
            InputError: an answer is not finite.
        """
        if self.recipe.onnx is None:
            from endosfm3d_ros.engines.export import run_module

            outputs = [run_module(self.module, one, self.recipe.output_names) for one in inputs]
        else:
            from endosfm3d_ros.engines.onnx_file import run_onnx

            outputs = run_onnx(self.onnx(), inputs)
        for name in self.recipe.output_names:
            if not all(np.isfinite(one[name]).all() for one in outputs):
                raise InputError(
                    f"network '{self.recipe.name}': output '{name}' is not finite for a plain "
                    "image, so its weights are unusable"
                )
        return outputs

    @cached_property
    def calibration(self) -> list[Tensors]:
        """Inputs of the kind that the network will see, varied apart from the last one.

        Raises:
            ConfigurationError: no images were given.
        """
        if self.images is None:
            raise ConfigurationError(
                f"an int8 engine of '{self.recipe.name}' must be calibrated on images of your "
                "own: run `endosfm3d engines build --precision int8 --calibrate CLIP`"
            )
        return self.recipe.prepare(varied(self.images()))

    def onnx(self, precision: str = "f32") -> bytes:
        """The network as an ONNX file whose types carry the precision (f32, bf16, f16).

        Raises:
            BackEndError: it has an operation that ONNX lacks, or is a file of another precision.
        """
        if precision not in self._exported:
            self._exported[precision] = self._onnx(precision)
        return self._exported[precision]

    def _onnx(self, precision: str) -> bytes:
        if self.recipe.onnx is not None:
            if precision != "f32":
                raise BackEndError(
                    f"network '{self.recipe.name}' is an ONNX file and runs as it is, not in "
                    f"{precision}"
                )
            return self.recipe.onnx()
        from endosfm3d_ros.engines.export import export_onnx

        simplified = self.recipe.simplified
        module = simplified(self.module) if simplified else self.module
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.recipe.name}.onnx"
            try:
                export_onnx(
                    module,
                    self.probe,
                    self.recipe.output_names,
                    path,
                    precision=precision,
                    full_precision=self.recipe.full_precision,
                    source=self.recipe.fingerprint,
                    description=self.recipe.description,
                )
            except RuntimeError as error:
                raise BackEndError(f"no ONNX export: {str(error).splitlines()[0]}") from error
            return path.read_bytes()

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Names and shapes of the outputs."""
        return tuple(TensorSpec(name, value.shape) for name, value in self.reference.items())
