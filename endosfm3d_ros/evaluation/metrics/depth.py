"""Depth against a reference: the measures of this package, and both published protocols.

The literature scales a prediction to the reference in two ways, by the ratio of medians and by
the ratio of mean inverse depths; tables rarely say which. Reports of this package carry both,
under names that say so. The published code of EndoSfM3D differs further: `released_scared` and
`released_c3vd` repeat it for comparison with its numbers, and are used for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from endosfm3d_ros.networks.depth import scaled_disparity

MIN_PIXELS = 100  # with fewer common pixels an image has a coverage and nothing else
FLAT = 1e-5  # relief below this share of the mean inverse depth is rounding
RELEASED_RANGE = (0.01, 150.0)  # mm; reference values scored, and where predictions are clamped

Scaling = Literal["median", "mean_inverse"]


class DepthErrors(NamedTuple):
    """The seven measures of Eigen et al. 2014, section 4.3; order of the published tables."""

    abs_rel: float
    sq_rel: float  # in the unit of the depth
    rmse: float  # in the unit of the depth
    rmse_log: float
    delta1: float  # share of pixels whose ratio to the reference is below 1.25
    delta2: float  # below 1.25^2
    delta3: float  # below 1.25^3


def depth_errors(predicted: np.ndarray, reference: np.ndarray) -> DepthErrors:
    """Measures over all positions where both are finite; any shape, one unit, both positive."""
    known = np.isfinite(predicted) & np.isfinite(reference)
    p, g = predicted[known], reference[known]
    difference, ratio = p - g, np.maximum(p / g, g / p)
    return DepthErrors(
        abs_rel=float(np.mean(np.abs(difference) / g)),
        sq_rel=float(np.mean(difference**2 / g)),
        rmse=float(np.sqrt(np.mean(difference**2))),
        rmse_log=float(np.sqrt(np.mean((np.log(p) - np.log(g)) ** 2))),
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
    )


def median_scaled(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The prediction times the ratio of the medians."""
    return predicted * (np.median(reference) / np.median(predicted))


def mean_inverse_scaled(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The prediction over the ratio of the mean inverse depths."""
    return predicted / (np.mean(1 / reference) / np.mean(1 / predicted))


def affine_aligned(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The prediction after the scale and shift of inverse depth that fit best (least squares).

    Ranftl et al. 2022, section 5. Aligned inverse depth is kept above half of the smallest
    reference value, so a pixel that the shift sends behind the camera counts with a finite error.
    """
    x, y = 1 / predicted, 1 / reference
    centred = x - x.mean()
    energy = float(centred @ centred)
    slope = float(centred @ y) / energy if energy > (FLAT * x.mean()) ** 2 * len(x) else 0.0
    return 1 / np.maximum(slope * centred + y.mean(), y.min() / 2)


def relief(predicted: np.ndarray, reference: np.ndarray, pixels: np.ndarray) -> float:
    """Correlation of inverse depths after the best plane over the image was taken from each.

    1 for perfect shape, 0 for any plane or constant: the part that a smooth guess cannot fake.

    Args:
        predicted: (N,) depth.
        reference: (N,) depth.
        pixels: (N, 2) where they lie in the image.

    Returns:
        -1..1; NaN where the reference itself is a plane.
    """
    inverse = 1 / np.column_stack([predicted, reference])  # (N, 2)
    design = np.column_stack([pixels, np.ones(len(pixels))])
    plane, *_ = np.linalg.lstsq(design, inverse, rcond=None)
    residual = inverse - design @ plane
    flat = residual.std(axis=0) < FLAT * inverse.mean(axis=0)
    if flat.any():
        return float("nan") if flat[1] else 0.0
    return float(np.corrcoef(residual.T)[0, 1])


def log_scale(predicted: np.ndarray, reference: np.ndarray) -> float:
    """ln of the factor that the prediction lacks: the median over pixels of ln(g / p)."""
    return float(np.median(np.log(reference / predicted)))


def score_image(predicted: np.ndarray, reference: np.ndarray, metric: bool) -> dict[str, float]:
    """All measures of one image, over the pixels that both have.

    Errors without a scaling in their name are those of the metric prediction as it is; for a
    scale-free one those of the median-scaled prediction, and everything in a unit of its own is
    left out.

    Args:
        predicted: (H, W) metres or scale-free units, NaN invalid.
        reference: (H, W) metres, NaN unknown.
        metric: whether the prediction claims to be in metres.

    Returns:
        Measures by the names of the report, `sq_rel` and `rmse_mm` in millimetres, and
        `log_scale`. Only `coverage` where fewer than `MIN_PIXELS` are common; empty where the
        reference has no pixel at all.
    """
    known = np.isfinite(reference)
    if not known.any():
        return {}
    common = known & np.isfinite(predicted)
    scores = {"coverage": float(common.sum() / known.sum())}
    if common.sum() < MIN_PIXELS:
        return scores
    p, g = predicted[common].astype(np.float64), reference[common].astype(np.float64)
    scaled = depth_errors(median_scaled(p, g), g)
    affine = depth_errors(affine_aligned(p, g), g)
    return scores | {
        "abs_rel_median_scaled": scaled.abs_rel,
        "sq_rel_mm_median_scaled": scaled.sq_rel
        * 1e3,  # metres of the reference, as papers have it
        "rmse_mm_median_scaled": scaled.rmse * 1e3,
        "abs_rel_mean_inverse_scaled": depth_errors(mean_inverse_scaled(p, g), g).abs_rel,
        "abs_rel_affine": affine.abs_rel,
        "delta1_affine": affine.delta1,
        "relief": relief(p, g, np.argwhere(common)),
        "log_scale": log_scale(p, g),
        **(_metric_scores(p, g) if metric else _unitless(scaled)),
    }


def _metric_scores(p: np.ndarray, g: np.ndarray) -> dict[str, float]:
    errors = depth_errors(p, g)
    return _unitless(errors) | {
        "abs_rel_metric": errors.abs_rel,
        "median_rel_err": float(np.median(np.abs(p - g) / g)),
        "sq_rel": errors.sq_rel * 1e3,
        "rmse_mm": errors.rmse * 1e3,
    }


def _unitless(errors: DepthErrors) -> dict[str, float]:
    names = ("rmse_log", "delta1", "delta2", "delta3")
    return {name: getattr(errors, name) for name in names}


# The published protocols


def released_scared(
    sigmoid: np.ndarray, reference: np.ndarray, scaling: Scaling
) -> list[DepthErrors]:
    """Measures per image as the published SCARED evaluation computes them.

    Scaled per image (its default is "mean_inverse"), then clamped to 0.01..150 mm; reference
    values outside that range are not scored. The mean over images is unweighted.

    Args:
        sigmoid: (N, 1, h, w) network output.
        reference: (N, H, W) mm, 0 unknown.
        scaling: "median" or "mean_inverse".
    """
    inverse = scaled_disparity(torch.from_numpy(sigmoid)).numpy()[:, 0]
    size = reference.shape[:0:-1]
    depths = (1 / cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in inverse)
    return [_released_errors(depth, g, SCALINGS[scaling]) for depth, g in zip(depths, reference)]


def released_c3vd(sigmoid: np.ndarray, reference: np.ndarray, scaling: Scaling) -> DepthErrors:
    """Measures of one batch as the published C3VD evaluation computes them.

    It differs from SCARED's in three points: network output is turned into depth with 0.01 as the
    nearest value although the training had 0.1, one scale serves the whole batch, and the median
    of an even count is its lower middle value.

    Args:
        sigmoid: (N, 1, h, w) network output.
        reference: (N, H, W) mm, 0 unknown.
        scaling: "median" or "mean_inverse".
    """
    inverse = scaled_disparity(torch.from_numpy(sigmoid), min_depth=0.01)
    resized = F.interpolate(inverse, reference.shape[1:], mode="bilinear", align_corners=False)
    scale = {"median": _lower_median_scaled, "mean_inverse": mean_inverse_scaled}[scaling]
    return _released_errors((1 / resized).numpy()[:, 0], reference, scale)


def flip_blended(left: np.ndarray, flipped: np.ndarray) -> np.ndarray:
    """Prediction blended with that of the mirrored image (Godard et al. 2017, section 3.4).

    Args:
        left: (N, H, W) prediction.
        flipped: (N, H, W) prediction for the mirrored image, mirrored back.
    """
    ramp = np.linspace(0, 1, left.shape[-1])
    at_left = 1 - np.clip(20 * (ramp - 0.05), 0, 1)  # weight of the mirrored one in the margin
    at_right = at_left[::-1]
    mean = (left + flipped) / 2
    return at_right * left + at_left * flipped + (1 - at_left - at_right) * mean


def _released_errors(
    predicted: np.ndarray,
    reference: np.ndarray,
    scale: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> DepthErrors:
    low, high = RELEASED_RANGE
    valid = (reference > low) & (reference < high)
    scaled = scale(predicted[valid], reference[valid])
    return depth_errors(np.clip(scaled, low, high), reference[valid])


def _lower_median_scaled(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    middle = (len(reference) - 1) // 2
    return predicted * (
        np.partition(reference, middle)[middle] / np.partition(predicted, middle)[middle]
    )


SCALINGS = {"median": median_scaled, "mean_inverse": mean_inverse_scaled}
