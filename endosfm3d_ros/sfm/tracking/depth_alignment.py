"""One scale for the depth of all frames of a single eye.

A depth network answers each image in a scale of its own, which flickers by some per cent and would
look like tissue that breathes. The points that are followed keep their scale: every frame's depth
is multiplied by the factor that brings it to them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from endosfm3d_ros.types import DepthMap


@dataclass(frozen=True)
class DepthAlignmentConfig:
    """Logarithms of factors on depth."""

    min_points: int = 30
    largest_step: float = 0.1  # between two frames; more is a wrong track, not a flicker
    rounds: int = 3  # of re-weighting
    floor: float = 0.01  # spread below which all points count alike


class DepthAlignment:
    """Holds the factor of the last frame."""

    def __init__(self, config: DepthAlignmentConfig | None = None) -> None:
        self.config = config or DepthAlignmentConfig()
        self.reset()

    def reset(self) -> None:
        """The next depth is taken as it is."""
        self._log_factor = 0.0
        self._known = False

    def observe(self, expected: np.ndarray, measured: np.ndarray) -> None:
        """Depth (N,) that the points have, and (N,) that this frame's map has there, NaN none."""
        c = self.config
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.log(expected) - np.log(measured)
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) < c.min_points:
            return
        middle = float(np.median(ratios))
        for _ in range(c.rounds):
            spread = max(1.4826 * float(np.median(np.abs(ratios - middle))), c.floor)
            weights = 1 / (1 + ((ratios - middle) / spread) ** 2)
            middle = float((weights * ratios).sum() / weights.sum())
        if self._known:
            step = np.clip(middle - self._log_factor, -c.largest_step, c.largest_step)
            middle = self._log_factor + float(step)
        self._log_factor, self._known = middle, True

    def rescale(self, factor: float) -> None:
        """The points are now farther away by a factor."""
        self._log_factor += float(np.log(factor))

    @property
    def factor(self) -> float:
        """What depth is multiplied by."""
        return float(np.exp(self._log_factor))

    def apply(self, depth: DepthMap) -> DepthMap:
        """The map in the scale of the points."""
        return replace(depth, depth=depth.depth * np.float32(self.factor))
