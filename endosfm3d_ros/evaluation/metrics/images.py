"""Rendered images against real ones, over the pixels of a mask."""

from __future__ import annotations

import cv2
import numpy as np

WINDOW, SIGMA = 11, 1.5  # px (Wang et al. 2004)
K1, K2 = 0.01, 0.03


def psnr(
    image: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None, peak: float = 255.0
) -> float:
    """Peak signal-to-noise ratio in dB over the masked pixels and all channels.

    Args:
        image: (H, W, C) values of 0..peak.
        reference: (H, W, C).
        mask: (H, W) bool, True where to score; None for everywhere.
        peak: the largest possible value.

    Returns:
        Infinity for equal images, NaN without a pixel to score.
    """
    difference = image.astype(np.float64) - reference
    squared = difference**2 if mask is None else difference[mask] ** 2
    if not squared.size:
        return float("nan")
    error = float(squared.mean())
    return 10 * float(np.log10(peak**2 / error)) if error else float("inf")


def ssim(
    image: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None, peak: float = 255.0
) -> float:
    """Structural similarity, Gaussian window of 11 px (Wang et al. 2004), mean of the channels.

    Only masked pixels enter the windows, so what lies outside the mask has no say; the map is
    averaged over the masked pixels whose window lies within the image. Without a mask this is
    the usual measure.

    Args:
        image: (H, W, C) values of 0..peak, at least 11 x 11 px.
        reference: (H, W, C).
        mask: (H, W) bool, True where to score; None for everywhere.
        peak: the largest possible value.

    Returns:
        -1..1; NaN without a pixel to score.
    """
    margin = WINDOW // 2
    mask = np.ones(image.shape[:2], bool) if mask is None else mask
    scored = np.zeros_like(mask)
    scored[margin:-margin, margin:-margin] = mask[margin:-margin, margin:-margin]
    if not scored.any():
        return float("nan")
    x, y = (_planes(plane) for plane in (image, reference))
    return float(_similarity(x, y, mask, peak)[scored].mean())


def _similarity(x: np.ndarray, y: np.ndarray, mask: np.ndarray, peak: float) -> np.ndarray:
    """(H, W, C) similarity of every window; population variances, weighted by the window."""
    inside = mask.astype(np.float64)[..., None]
    weight = np.maximum(_blurred(inside), np.finfo(np.float64).tiny)

    def mean(plane: np.ndarray) -> np.ndarray:
        return _blurred(plane * inside) / weight

    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)


def _blurred(planes: np.ndarray) -> np.ndarray:
    """(H, W, C) under the window; beyond the border there is nothing."""
    blurred = cv2.GaussianBlur(planes, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_CONSTANT)
    return blurred.reshape(planes.shape)  # OpenCV drops a single channel


def _planes(image: np.ndarray) -> np.ndarray:
    """(H, W, C) float64 of a colour or grey image."""
    return image.astype(np.float64).reshape(*image.shape[:2], -1)
