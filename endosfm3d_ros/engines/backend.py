"""What a back end offers. One module per back end in `backends/`, found by its name."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from abc import ABC, abstractmethod
from functools import cache
from types import ModuleType
from typing import ClassVar

import numpy as np

from endosfm3d_ros.engines import backends
from endosfm3d_ros.engines.engine import Engine, TensorSpec
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.engines.source import BackEndError, BuildSource
from endosfm3d_ros.errors import ConfigurationError

__all__ = ["BackEnd", "BackEndError", "BuildSource", "backend_names", "find_backend", "required"]

log = logging.getLogger(__name__)


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

    def require(self) -> None:
        """Nothing where engines can run here; raises BackEndError where they cannot."""
        self.version()

    def device(self) -> str:
        """What else a stored engine is tied to; part of the cache key."""
        return ""

    def precision(self, wanted: str) -> str:
        """The precision that this machine runs when `wanted` is asked for; a change is logged."""
        if wanted in self.precisions:
            return wanted
        log.warning("%s has no %s: its engines run in %s", self.name, wanted, self.precisions[0])
        return self.precisions[0]

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


@cache
def required(package: str) -> ModuleType:
    """The package of that import name, imported when it is first needed.

    Raises:
        BackEndError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise BackEndError(
            f"the package {package} is not installed: pip install {package}"
        ) from error


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
