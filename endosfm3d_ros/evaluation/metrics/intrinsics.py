"""Intrinsics against a calibration: raw errors, and the published measure.

The published code multiplies each predicted matrix by the factor that brings its focal lengths to
the true ones, before it takes the error. That removes the very error in question: what is left of
fx and fy is their ratio, and the principal point moves with a factor that is not its own.
`released_scale_adjusted` repeats it for comparison; reports carry the raw errors.
"""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera

STATISTICS = {
    "max": np.max,
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "std": np.std,
}
ELEMENTS = {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2)}


def intrinsics_errors(estimate: PinholeCamera, reference: PinholeCamera) -> dict[str, float]:
    """Raw relative errors at the size of the reference, mean of both axes.

    Returns:
        `focal_rel_err`: |f - f*| / f* of fx and fy; `centre_rel_err`: |cx - cx*| and |cy - cy*|
        over the width of the image.
    """
    e = estimate.resized(*reference.size)
    focal = (abs(e.fx / reference.fx - 1), abs(e.fy / reference.fy - 1))
    centre = np.abs((e.cx - reference.cx, e.cy - reference.cy)) / reference.width
    return {"focal_rel_err": float(np.mean(focal)), "centre_rel_err": float(np.mean(centre))}


def released_scale_adjusted(K_predicted: np.ndarray, K_reference: np.ndarray) -> dict[str, float]:
    """The published measure over N predictions, absolute in pixels and relative in percent.

    Args:
        K_predicted: (N, 3 or 4, 3 or 4) pixels.
        K_reference: (3 or 4, 3 or 4) pixels.

    Returns:
        Max, mean, median, min and population standard deviation of every error, by its
        published name.
    """
    K, truth = K_predicted.astype(np.float64), K_reference.astype(np.float64)
    factor = (truth[0, 0] / K[:, 0, 0] + truth[1, 1] / K[:, 1, 1]) / 2
    adjusted = K.copy()
    errors = {"scale_factor": factor}
    for name, (row, column) in ELEMENTS.items():
        adjusted[:, row, column] *= factor
        error = np.abs(adjusted[:, row, column] - truth[row, column])
        errors[f"scale_adjusted_{name}_abs_error"] = error
        errors[f"scale_adjusted_{name}_rel_error"] = error / truth[row, column] * 100
    errors["scale_adjusted_matrix_frobenius_norm"] = np.linalg.norm(adjusted - truth, axis=(1, 2))
    return {
        f"{name}_{statistic}": float(function(values))
        for name, values in errors.items()
        for statistic, function in STATISTICS.items()
    }
