"""What is remembered of one instrument."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.regions import Region


class Track:
    """One region over time: a candidate until it has an id.

    Args:
        region: where it first appeared.
        stamp: ns, of that image.
        config: settings.
    """

    def __init__(self, region: Region, stamp: int, config: TrackerConfig) -> None:
        self._config = config
        self.id = 0
        self.region = region
        self.born = self.seen = stamp
        self.hits = 1  # in a row
        self.misses = 0  # as a candidate
        self.score = 0.5
        self.velocity = np.zeros(2)  # px per second
        self.entry = region.entry
        self._prediction: tuple[int, Region] | None = None
        self.bbox = (0, 0, 0, 0)  # px of the image

    @property
    def confirmed(self) -> bool:
        """Whether it is a tool."""
        return self.id > 0

    @property
    def visible(self) -> bool:
        """Whether it was seen in the last image."""
        return self.hits > 0

    @property
    def ripe(self) -> bool:
        """Whether it has been seen often enough in a row: the more, the more it flickers."""
        config = self._config
        needed = config.birth_frames if self.entry is not None else config.inner_birth_frames
        large = self.region.area > config.min_area * self.region.mask.size
        return large and self.hits >= needed * (1 + self.misses)

    def predicted(self, stamp: int) -> Region:
        """Where it should be; shifted by its velocity for as long as that can be believed."""
        if self._prediction is None or self._prediction[0] != stamp:
            self._prediction = stamp, self._predict(stamp)
        return self._prediction[1]

    def _predict(self, stamp: int) -> Region:
        seconds = min(max(stamp - self.seen, 0) * 1e-9, self._config.hold / 2)
        x, y = np.round(self.velocity * seconds)
        if x == 0 and y == 0:
            return self.region
        plane, size = self.region.mask.astype(np.uint8), self.region.mask.shape[::-1]
        moved = cv2.warpAffine(
            plane,
            np.float32([[1, 0, x], [0, 1, y]]),
            size,
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,  # a shaft goes on beyond the border
        )
        return Region(moved > 0, self.region.border)

    def seen_at(self, region: Region, stamp: int, quality: float) -> None:
        """Take a region as where it is now."""
        seconds = (stamp - self.seen) * 1e-9
        rate = self._config.smoothing
        if seconds > 0:
            now = (region.centre - self.region.centre) / seconds
            self.velocity += rate * (now - self.velocity)
        self.score += rate * (quality - self.score)
        self.region, self.seen, self._prediction = region, stamp, None
        self.hits += 1
        if region.entry is not None:
            self.entry = region.entry

    def missed(self) -> None:
        """It was not seen."""
        self.hits = 0
        self.misses += not self.confirmed
        self.score *= 1 - self._config.smoothing
