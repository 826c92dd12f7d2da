"""What tissue and lamp look like in this clip, learnt from what most of the image is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.tools.segmentation.redness import LOWEST, STEP


@dataclass(frozen=True)
class TissueColourConfig:
    """How the running estimate behaves. Chosen by reason, not fitted to a clip."""

    start_percentile: float = 65.0  # tissue even where tools cover 60 % of the image
    rounds: int = 2  # of median over what the last round calls tissue
    neutral_percentile: float = 0.3  # sheen or metal: this much is in any wet scene
    neutral_margin: float = 0.05  # redness of sheen on tissue under a neutral lamp
    min_contrast: float = 0.2  # tissue to lamp; paler scenes (fat, bone, grey) have no colour cue
    min_lit: float = 0.05  # share of the image that is neither dark nor saturated
    rate: float = 0.1  # share of a new frame in the running value: settles within 20 frames


@dataclass(frozen=True)
class SceneColour:
    """log(R / G) of the two things that a pixel can be."""

    neutral: float  # of what has the colour of the lamp
    tissue: float

    def between(self, share: float) -> float:
        """The redness that lies that share of the way from neutral to tissue."""
        return self.neutral + share * (self.tissue - self.neutral)


class TissueColour:
    """Running redness of tissue, and of a lamp that is too red for the white balance.

    A lamp that is too green or blue is not looked for: blue plastic would pass for one.
    """

    def __init__(self, config: TissueColourConfig | None = None) -> None:
        self.config = config or TissueColourConfig()
        self._value: SceneColour | None = None

    def reset(self) -> None:
        """Forget the clip."""
        self._value = None

    def update(self, codes: np.ndarray, lit: np.ndarray, share: float) -> SceneColour | None:
        """The colours with this frame in them; None where it gives no colour cue.

        Args:
            codes: (H, W) uint8, see `redness_codes`.
            lit: (H, W) bool: neither dark nor saturated.
            share: of the way from neutral to tissue at which a pixel is not tissue any more.
        """
        counts = cv2.calcHist([codes], [0], lit.astype(np.uint8), [256], [0, 256])[:, 0]
        if counts.sum() < self.config.min_lit * codes.size:
            return None
        now = self._measure(counts, share)
        if now.tissue - now.neutral < self.config.min_contrast:
            return None
        self._value = now if self._value is None else self._blend(self._value, now)
        return self._value

    def _measure(self, counts: np.ndarray, share: float) -> SceneColour:
        config, values = self.config, LOWEST + STEP * np.arange(256)
        sheen = values[_percentile(counts, config.neutral_percentile)]
        neutral = max(0.0, float(sheen) - config.neutral_margin)
        tissue = values[_percentile(counts, config.start_percentile)]
        for _ in range(config.rounds):
            limit = neutral + share * (tissue - neutral)
            tissue = values[_percentile(counts * (values > limit), 50.0)]
        return SceneColour(neutral, float(tissue))

    def _blend(self, old: SceneColour, new: SceneColour) -> SceneColour:
        rate = self.config.rate
        return SceneColour(
            old.neutral + rate * (new.neutral - old.neutral),
            old.tissue + rate * (new.tissue - old.tissue),
        )


def _percentile(counts: np.ndarray, percent: float) -> int:
    """The bin below which `percent` of the counts lie."""
    sums = np.cumsum(counts)
    return min(int(np.searchsorted(sums, percent / 100 * sums[-1])), len(counts) - 1)
