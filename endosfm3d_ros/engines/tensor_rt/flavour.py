"""The two packages that speak the TensorRT API, and in what they differ."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from endosfm3d_ros.engines.backend import BackEndError


@dataclass(frozen=True)
class TensorRtFlavour:
    """A package and what it can do."""

    package: str  # import name
    title: str
    install: str  # pip's argument
    times_tactics: bool  # tries kernels on the card; the timings are worth keeping
    portable: bool  # plans run on every supported card, because kernels are compiled at load

    @cached_property
    def module(self) -> Any:
        """The package.

        Raises:
            BackEndError: it is not installed, or its libraries are not.
        """
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            raise BackEndError(
                f"{self.title} is not installed: pip install {self.install}"
            ) from error
        except (OSError, RuntimeError) as error:  # the bindings without their libraries
            reason = str(error).splitlines()[0]
            raise BackEndError(f"{self.title} cannot load its libraries ({reason})") from error


TENSORRT = TensorRtFlavour(
    package="tensorrt",
    title="TensorRT",
    install='"tensorrt-cu13>=10.16,<12"',
    times_tactics=True,
    portable=False,
)
TENSORRT_RTX = TensorRtFlavour(
    package="tensorrt_rtx",
    title="TensorRT for RTX",
    install='"tensorrt-rtx>=1.7,<2"',
    times_tactics=False,  # its timing cache does nothing since 1.2
    portable=True,
)
