"""What tissue looks like in this clip, learnt from what most of the image is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.tools.segmentation.redness import redness_of


@dataclass(frozen=True)
class TissueColourConfig:
    """How the running estimate behaves."""

    start_percentile: float = 65.0  # tissue even where tools cover 60 % of the first image
    rate: float = 0.1  # share of a new frame in the running value: settles within 20 frames
    min_redness: float = 0.2  # a paler clip has no colour cue: fat, bone, grey pictures
    rounds: int = 2  # of median over what the last round calls tissue
    min_share: float = 0.05  # of lit pixels in the image


class TissueColour:
    """Running median redness of tissue."""

    def __init__(self, config: TissueColourConfig | None = None) -> None:
        self.config = config or TissueColourConfig()
        self._value: float | None = None

    def reset(self) -> None:
        """Forget the clip."""
        self._value = None

    def update(self, codes: np.ndarray, lit: np.ndarray, threshold: float) -> float | None:
        """Redness of tissue with this frame in it; None where the frame gives no colour cue.

        Args:
            codes: (H, W) uint8, see `redness_codes`.
            lit: (H, W) uint8, 255 where the pixel is neither dark nor saturated.
            threshold: share of the redness of tissue below which a pixel is not tissue.
        """
        histogram = cv2.calcHist([codes], [0], lit, [256], [0, 256])[:, 0]
        if histogram.sum() < self.config.min_share * codes.size:
            return None
        level = redness_of(_percentile(histogram, self.config.start_percentile))
        bins = redness_of(0) + (redness_of(1) - redness_of(0)) * np.arange(256)
        for _ in range(self.config.rounds):
            level = redness_of(_percentile(histogram * (bins > threshold * level), 50.0))
        if level < self.config.min_redness:
            return None
        old, rate = self._value, self.config.rate
        self._value = level if old is None else old + rate * (level - old)
        return self._value


def _percentile(histogram: np.ndarray, percent: float) -> int:
    """The bin below which `percent` of the counts lie."""
    sums = np.cumsum(histogram)
    return int(np.searchsorted(sums, percent / 100 * sums[-1]))
