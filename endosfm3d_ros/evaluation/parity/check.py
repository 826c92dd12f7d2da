"""One comparison with a golden array, and the ways of measuring its error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray | Tensor | float


@dataclass(frozen=True)
class Check:
    """`error` above `tolerance` fails; without an error the part is not built."""

    name: str
    error: float | None = None
    tolerance: float | None = None

    @property
    def ok(self) -> bool | None:
        """None where the part is not built; a NaN fails."""
        return None if self.error is None else self.error <= self.tolerance

    def as_json(self) -> dict[str, float | bool | None]:
        """The entry of the report; an infinite error has no number in JSON."""
        finite = self.error is not None and math.isfinite(self.error)
        error = self.error if finite else None
        return {"error": error, "tolerance": self.tolerance, "ok": self.ok}


def scaled(name: str, ours: Array, golden: Array, tolerance: float = 1e-4) -> Check:
    """Largest difference over the largest reference value."""
    tiny = float(np.finfo(np.float32).tiny)  # a golden array of zeros is matched by zeros only
    return _measured(name, ours, golden, lambda a, b: _max(a - b) / max(_max(b), tiny), tolerance)


def absolute(name: str, ours: Array, golden: Array, tolerance: float) -> Check:
    """Largest difference, in the unit of the array."""
    return _measured(name, ours, golden, lambda a, b: _max(a - b), tolerance)


def close(name: str, ours: Array, golden: Array, rtol: float, atol: float) -> Check:
    """|a - b| <= atol + rtol |b| for every element, written as a relative error <= rtol."""
    return _measured(name, ours, golden, lambda a, b: _max((a - b) / (atol / rtol + abs(b))), rtol)


def differing_share(name: str, ours: Array, golden: Array, tolerance: float) -> Check:
    """Share of elements that are not equal."""
    return _measured(name, ours, golden, lambda a, b: float(np.mean(a != b)), tolerance)


def unpacked_mask(bits: np.ndarray, height: int, width: int) -> np.ndarray:
    """(1, 1, H, W) bool of a mask stored with numpy.packbits."""
    return np.unpackbits(bits)[: height * width].reshape(1, 1, height, width).astype(bool)


def mean_std(x: Tensor) -> Tensor:
    """(2,) mean and population standard deviation of a whole tensor."""
    return torch.stack([x.mean(), x.std(correction=0)])


def _max(difference: np.ndarray) -> float:
    return float(np.max(np.abs(difference)))


def _measured(
    name: str,
    ours: Array,
    golden: Array,
    measure: Callable[[np.ndarray, np.ndarray], float],
    tolerance: float,
) -> Check:
    a = ours.detach().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
    b = np.asarray(golden)
    if a.shape != b.shape:
        return Check(name, math.inf, tolerance)
    if a.dtype != bool:
        a, b = a.astype(np.float64), b.astype(np.float64)
    return Check(name, measure(a, b), tolerance)
