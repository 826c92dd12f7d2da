"""Depth without a scale of its own, brought to the scale of the map frame by frame.

Monocular depth flickers; without this step the flicker would be taken for deformation. The factor
is a robust ratio over the whole view, so breathing, which moves a part of it, is no zoom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.tissue.rendering import Rendering


@dataclass(frozen=True)
class AlignmentConfig:
    """How far the factor may go."""

    min_coverage: float = 0.25  # share of the view that map and depth have in common
    min_alpha: float = 0.9
    rounds: int = 3  # of re-weighting after the median
    spread: float = 0.03  # of the log ratio at which a pixel counts half
    largest_step: float = 0.1  # of the log factor per frame
    gain: float = 0.3  # share of a new factor that is taken on; the first one whole


class ScaleAlignment:
    """Keeps the factor from depth source to map."""

    def __init__(self, config: AlignmentConfig) -> None:
        self.config = config
        self.log_bias = 0.0  # slow drift of the source's scale

    def align(self, depth: np.ndarray, view: Rendering) -> np.ndarray:
        """(H, W) depth times the factor that fits this view of the map."""
        log_factor = self._measure(depth, view)
        if log_factor is None:
            return depth * np.float32(np.exp(self.log_bias))
        c = self.config
        drift = np.clip(log_factor - self.log_bias, -c.largest_step, c.largest_step)
        self.log_bias += c.gain * float(drift)
        return depth * np.float32(np.exp(log_factor))

    def _measure(self, depth: np.ndarray, view: Rendering) -> float | None:
        """Robust mean of ln(map / depth), or None where too little is shared."""
        c = self.config
        common = np.isfinite(depth) & (view.alpha > c.min_alpha) & np.isfinite(view.depth)
        if common.mean() < c.min_coverage:
            return None
        ratio = np.log(view.depth[common] / depth[common])
        centre = float(np.median(ratio))
        for _ in range(c.rounds):
            weight = 1 / (1 + ((ratio - centre) / c.spread) ** 2)
            centre = float(np.average(ratio, weights=weight))
        return centre
