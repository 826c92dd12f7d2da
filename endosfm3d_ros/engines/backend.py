"""What a back end offers. One module per back end in `backends/`, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from endosfm3d_ros.engines import backends
from endosfm3d_ros.engines.engine import Engine, TensorSpec
from endosfm3d_ros.engines.recipe import NetworkRecipe, probe_inputs
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from torch import nn


class BackEndError(ConfigurationError):
    """This back end cannot run the network here; another one may."""


@dataclass(frozen=True)
class BuildSource:
    """The network in every form that a back end may build from; each is made when asked for."""

    recipe: NetworkRecipe

    @cached_property
    def module(self) -> nn.Module:
        """The torch network."""
        return self.recipe.load().eval()

    @cached_property
    def probe(self) -> dict[str, np.ndarray]:
        """Fixed inputs of the parity check."""
        return probe_inputs(self.recipe.inputs)

    @cached_property
    def reference(self) -> dict[str, np.ndarray]:
        """What torch answers to the probe.

        Raises:
            InputError: the answer is not finite, so the weights cannot be used.
        """
        from endosfm3d_ros.engines.export import run_module

        outputs = run_module(self.module, self.probe, self.recipe.output_names)
        for name, value in outputs.items():
            if not np.isfinite(value).all():
                raise InputError(
                    f"network '{self.recipe.name}': output '{name}' is not finite for a plain "
                    "image, so its weights are unusable"
                )
        return outputs

    @cached_property
    def onnx(self) -> bytes:
        """The network as an ONNX file.

        Raises:
            BackEndError: it has an operation that ONNX lacks.
        """
        from endosfm3d_ros.engines.export import export_onnx

        module, recipe = self.module, self.recipe
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{recipe.name}.onnx"
            try:
                export_onnx(
                    module,
                    self.probe,
                    recipe.output_names,
                    path,
                    source=recipe.fingerprint,
                    description=recipe.description,
                )
            except RuntimeError as error:
                raise BackEndError(f"no ONNX export: {str(error).splitlines()[0]}") from error
            return path.read_bytes()

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Names and shapes of the outputs."""
        return tuple(TensorSpec(name, value.shape) for name, value in self.reference.items())


class BackEnd(ABC):
    """Builds engines, and stores them where `stored` is set.

    Each method raises BackEndError when the package behind it is missing or cannot do
    what it is asked for.
    """

    name: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]]
    stored: ClassVar[bool] = True

    @abstractmethod
    def version(self) -> str:
        """Version of the package; part of the cache key."""

    def device(self) -> str:
        """What else a stored engine is tied to; part of the cache key."""
        return ""

    def precision(self, wanted: str) -> str:
        """The precision that this machine runs when `wanted` is asked for."""
        return wanted if wanted in self.precisions else self.precisions[0]

    @abstractmethod
    def build(self, source: BuildSource, settings: EngineSettings, precision: str) -> Engine:
        """A new engine; seconds to minutes."""

    def to_bytes(self, engine: Engine) -> bytes:
        """The engine as a file."""
        raise BackEndError(f"{self.name} engines cannot be stored")

    def from_bytes(
        self,
        blob: np.ndarray,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        settings: EngineSettings,
        precision: str,
    ) -> Engine:
        """An engine from `to_bytes` of the same version and device; `blob` is (N,) uint8."""
        raise BackEndError(f"{self.name} engines cannot be stored")


def backend_names() -> list[str]:
    """The names that `find_backend` accepts."""
    return [module.name for module in pkgutil.iter_modules(backends.__path__)]


def find_backend(name: str) -> BackEnd:
    """The back end of that name; its package is imported only when it is used.

    Raises:
        ConfigurationError: there is no such back end.
    """
    if name not in backend_names():
        raise ConfigurationError(
            f"engine back end '{name}': accepted are {', '.join(backend_names())}"
        )
    return importlib.import_module(f"{backends.__name__}.{name}").create()
