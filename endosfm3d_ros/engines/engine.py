"""What runs a network: named arrays in, named arrays out, whatever is behind it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.errors import InputError


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a network. Shapes are static."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    def check(self, array: np.ndarray) -> np.ndarray:
        """The array, contiguous.

        Raises:
            InputError: the shape or the type differs from this specification.
        """
        if array.shape != self.shape or array.dtype != self.dtype:
            raise InputError(
                f"tensor '{self.name}' is {array.dtype}{list(array.shape)}, "
                f"accepted is {self.dtype}{list(self.shape)}"
            )
        return np.ascontiguousarray(array)


@dataclass(frozen=True)
class EngineInfo:
    """What runs, where it came from and how far it is from the torch network."""

    network: str
    backend: str
    backend_version: str
    precision: str
    errors: dict[str, float] = field(default_factory=dict)  # output -> relative error
    scale_error: float | None = None  # | median(depth / torch's depth) - 1 |; None: no depth
    cached: bool = False
    refused: tuple[str, ...] = ()  # why the back ends before this one were not taken

    def __str__(self) -> str:
        """Network, back end, precision and the result of the comparison."""
        return f"{self.network} {self.backend} {self.precision} ({self.parity})"

    @property
    def parity(self) -> str:
        """The result of the comparison with torch, in words."""
        words = f"within {max(self.errors.values(), default=0.0):.1e} of torch"
        if self.scale_error is None:
            return words
        return f"{words}, scale within {self.scale_error:.1e}"


class Engine(ABC):
    """A network ready to run. One run at a time; safe to call from several threads."""

    info: EngineInfo | None = None
    device: str = "cpu"  # where its inputs and outputs are best kept: cpu or cuda

    def __init__(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._lock = threading.Lock()

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All inputs by name to all outputs by name; the outputs belong to the caller.

        Raises:
            InputError: an input is missing, unknown, or of another shape or type.
        """
        expected = [spec.name for spec in self.inputs]
        if sorted(inputs) != sorted(expected):
            raise InputError(f"inputs {sorted(inputs)}: this network takes {sorted(expected)}")
        checked = {spec.name: spec.check(inputs[spec.name]) for spec in self.inputs}
        with self._lock:
            return self._execute(checked)

    def warm_up(self) -> None:
        """One run on zeros, so that the first image does not pay for allocation."""
        self.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.inputs})

    @abstractmethod
    def _execute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run on checked inputs while no other thread does."""
