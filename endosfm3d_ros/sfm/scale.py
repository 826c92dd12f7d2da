"""Scale is a claim: metric depth passes through, scale-free depth is normalised once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.types import DepthMap, ScaleSource

RELATIVE_MEDIAN = 0.05  # what the median of the first scale-free depth map becomes


class ScaleNormaliser:
    """Keeps one factor for scale-free depth; the result is still `relative`, never metres."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next scale-free map sets the factor anew."""
        self._factor: float | None = None

    def apply(self, depth: DepthMap) -> DepthMap:
        """The map in the units of this stream; unchanged where it is metric."""
        if depth.scale != ScaleSource.RELATIVE:
            return depth
        if self._factor is None and depth.valid.any():
            self._factor = RELATIVE_MEDIAN / float(np.median(depth.depth[depth.valid]))
        return replace(depth, depth=depth.depth * np.float32(self._factor or 1.0))
