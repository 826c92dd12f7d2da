"""The gate that every engine passes before it is used: the torch network is the reference."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.engines.backend import BackEndError


class EngineRefused(BackEndError):
    """An engine computes something else than its network."""


def relative_errors(
    outputs: dict[str, np.ndarray], reference: dict[str, np.ndarray]
) -> dict[str, float]:
    """||engine - torch|| / ||torch|| per output; infinite for a wrong shape or NaN."""
    return {name: _relative_error(outputs.get(name), value) for name, value in reference.items()}


def _relative_error(output: np.ndarray | None, reference: np.ndarray) -> float:
    if output is None or output.shape != reference.shape:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.linalg.norm((output.astype(np.float64) - reference).ravel())
    error = difference / max(np.linalg.norm(reference.ravel()), np.finfo(np.float32).tiny)
    return float(error) if np.isfinite(error) else float("inf")


def check_parity(label: str, errors: dict[str, float], tolerance: float) -> None:
    """Nothing, when all errors are at most `tolerance`.

    Raises:
        EngineRefused: one is larger.
    """
    name, worst = max(errors.items(), key=lambda item: item[1])
    if worst > tolerance:
        raise EngineRefused(
            f"{label}: output '{name}' differs from torch by {worst:.2g} of its size, "
            f"at most {tolerance:.2g} is accepted"
        )
