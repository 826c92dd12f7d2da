"""How far a pixel of the depth network is to be believed, from what is known without a reference.

    confidence = validity of the pixel x agreement of two scales x agreement with the last frame

A network that says itself how far off it expects to be takes the place of the second factor.
Each factor lies in 0..1. It is a ranking, not a probability: no factor is fitted to errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera


@dataclass(frozen=True)
class NetworkConfidenceConfig:
    """Chosen, not fitted. Grey levels are of 0..255, tolerances relative depth differences."""

    dark: tuple[float, float] = (4.0, 24.0)  # brightest channel: nothing / all of the pixel counts
    bright: tuple[float, float] = (230.0, 252.0)  # darkest channel: all / nothing (highlights)
    highlight_margin: int = 5  # px at network size; a highlight spoils its surroundings
    scale_tolerance: float = 0.1  # difference of two scales at which belief halves
    time_tolerance: float = 0.1  # difference from the last frame at which belief halves


def pixel_validity(image: np.ndarray, config: NetworkConfidenceConfig) -> np.ndarray:
    """(H, W) float32 0..1 of an RGB uint8 image: 0 where it is black or a highlight."""
    red, green, blue = cv2.split(image)
    brightest = cv2.max(cv2.max(red, green), blue).astype(np.float32)
    darkest = cv2.min(cv2.min(red, green), blue).astype(np.float32)
    black, lit = config.dark
    white, lost = config.bright
    validity = np.minimum((brightest - black) / (lit - black), (lost - darkest) / (lost - white))
    side = config.highlight_margin
    return cv2.erode(np.clip(validity, 0, 1), np.ones((side, side), np.uint8))


def scale_agreement(fine: np.ndarray, coarse: np.ndarray, tolerance: float) -> np.ndarray:
    """(H, W) agreement of two inverse depths, the second of any smaller size.

    The head sees them at different resolutions of its features: they part at depth edges and
    where the features do not fix the depth. A common factor is not counted.
    """
    enlarged = cv2.resize(coarse, fine.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return _agreement(fine, enlarged, tolerance)


def expected_agreement(log_error: np.ndarray, tolerance: float) -> np.ndarray:
    """(H, W) what to believe where the network expects an error of exp(`log_error`) of ln depth.

    The same curve as for measured differences: a half where the error is the tolerance.
    """
    return 1 / (1 + (np.exp(log_error) / tolerance) ** 2)


def time_agreement(
    inverse_depth: np.ndarray,
    previous: np.ndarray,
    T_current_previous: np.ndarray,
    camera: PinholeCamera,
    tolerance: float,
) -> np.ndarray:
    """(H, W) agreement with the inverse depth of the previous frame under a known motion.

    Every point of this frame is moved into the previous one, and its inverse depth compared
    with what was seen there. 1 where the previous frame did not look. All at the size of
    `camera`; translation and depth have the same unit.
    """
    # 1 z' [u' v' 1] = z (K R K^-1 [u v 1] + K t / z), so with i = 1 / z all is linear in u, v, i
    T = se3.inverse(T_current_previous)
    K = camera.K
    H = (K @ T[:3, :3] @ np.linalg.inv(K)).astype(np.float32)
    shift = (K @ T[:3, 3]).astype(np.float32)
    columns = np.arange(camera.width, dtype=np.float32)
    rows = np.arange(camera.height, dtype=np.float32)[:, None]
    x, y, w = (
        H[i, 0] * columns + H[i, 1] * rows + H[i, 2] + shift[i] * inverse_depth for i in range(3)
    )
    # 2 what this frame predicts there, and what was seen
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(w > 0, inverse_depth / w, np.float32(np.nan))
        outside = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": float("nan")}
        seen = cv2.remap(previous, x / w, y / w, cv2.INTER_LINEAR, **outside)
    agreement = _agreement(expected, seen, tolerance)
    return np.where(np.isfinite(seen), agreement, np.float32(1))


def _agreement(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """1 / (1 + (difference / tolerance)^2) of the logarithms, after their median; 0 for NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = cv2.log(np.ascontiguousarray(a)) - cv2.log(np.ascontiguousarray(b))
    sample = difference[::4, ::4]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return np.zeros_like(difference)
    agreement = 1 / (1 + ((difference - np.median(sample)) / tolerance) ** 2)
    return np.nan_to_num(agreement, nan=0.0)
