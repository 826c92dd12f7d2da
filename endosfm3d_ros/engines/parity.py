"""The gate that every engine passes before it is used: the torch network is the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.engines.recipe import SCALE_TOLERANCES, NetworkRecipe
from endosfm3d_ros.engines.source import BackEndError

Tensors = dict[str, np.ndarray]


class EngineRefused(BackEndError):
    """An engine computes something else than its network."""


@dataclass(frozen=True)
class Parity:
    """How far an engine is from its network."""

    errors: dict[str, float]  # output -> ||engine - torch|| / ||torch||
    scale_error: float | None = None  # | median(depth / torch's depth) - 1 |; None: no depth

    def check(self, label: str, recipe: NetworkRecipe, precision: str) -> None:
        """Nothing, when everything is within the tolerances of the precision.

        Raises:
            EngineRefused: something is not.
        """
        name, worst = max(self.errors.items(), key=lambda item: item[1])
        if worst > recipe.tolerances[precision]:
            raise EngineRefused(
                f"{label}: output '{name}' differs from torch by {worst:.2g} of its size, "
                f"at most {recipe.tolerances[precision]:.2g} is accepted"
            )
        if self.scale_error is not None and self.scale_error > SCALE_TOLERANCES[precision]:
            raise EngineRefused(
                f"{label}: its depth is {self.scale_error:.2g} larger or smaller than torch's, "
                f"at most {SCALE_TOLERANCES[precision]:.2g} is accepted"
            )


def parity(recipe: NetworkRecipe, outputs: Tensors, reference: Tensors) -> Parity:
    """Compare the outputs of an engine with those of its network."""
    errors = relative_errors(outputs, reference)
    scale = None
    if recipe.depth is not None and np.isfinite(list(errors.values())).all():
        scale = abs(float(np.median(recipe.depth(outputs) / recipe.depth(reference))) - 1)
        scale = scale if np.isfinite(scale) else float("inf")
    return Parity(errors, scale)


def relative_errors(outputs: Tensors, reference: Tensors) -> dict[str, float]:
    """||engine - torch|| / ||torch|| per output; infinite for a wrong shape or NaN."""
    return {name: _relative_error(outputs.get(name), value) for name, value in reference.items()}


def _relative_error(output: np.ndarray | None, reference: np.ndarray) -> float:
    if output is None or output.shape != reference.shape:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.linalg.norm((output.astype(np.float64) - reference).ravel())
    error = difference / max(np.linalg.norm(reference.ravel()), np.finfo(np.float32).tiny)
    return float(error) if np.isfinite(error) else float("inf")
