"""Depth without a scale of its own, brought to the scale of the map frame by frame.

Monocular depth flickers; without this step the flicker would be taken for deformation. The factor
is where most ratios of map to depth concentrate, looked for from their median and from the factor
known before, so breathing, which moves a part of the view, is no zoom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.tissue.appearance.rendering import Rendering


@dataclass(frozen=True)
class AlignmentConfig:
    """How far the factor may go."""

    min_coverage: float = 0.25  # share of the view that map and depth have in common
    min_alpha: float = 0.9
    rounds: int = 5  # of re-weighting
    spread: float = 0.03  # of the log ratio at which a pixel counts half
    largest_step: float = 0.1  # of the log factor per frame
    gain: float = 0.3  # share of a new factor that the remembered one takes on
    anchor: float = 0.05  # share of a factor that is left out: the map drifts back to the source


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
        return depth * np.float32(np.exp((1 - c.anchor) * log_factor))

    def _measure(self, depth: np.ndarray, view: Rendering) -> float | None:
        """Robust mean of ln(map / depth), or None where too little is shared."""
        c = self.config
        common = np.isfinite(depth) & (view.alpha > c.min_alpha) & np.isfinite(view.depth)
        if common.mean() < c.min_coverage:
            return None
        ratio = np.log(view.depth[common] / depth[common])
        candidates = (
            self._mode(ratio, start) for start in (float(np.median(ratio)), self.log_bias)
        )
        return max(candidates, key=lambda candidate: candidate[1])[0]

    def _mode(self, ratio: np.ndarray, centre: float) -> tuple[float, float]:
        """The concentration of ratios nearest to a start, and how many agree with it."""
        for _ in range(self.config.rounds):
            weight = 1 / (1 + ((ratio - centre) / self.config.spread) ** 2)
            centre = float(np.average(ratio, weights=weight))
        return centre, float(weight.sum())
