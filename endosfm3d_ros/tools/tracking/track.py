"""What is remembered of one instrument."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.tools.tracking.axis import Axis
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
        self.velocity = np.zeros((2, 2))  # px per second, of base and tip
        self.evidence = self._worth(region)
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
        return large and self.evidence >= needed * (1 + self.misses)

    def _worth(self, region: Region) -> float:
        """Of one sight, in frames: a small region may be a highlight, which soon goes."""
        return min(1.0, region.area / (self._config.sure_area * region.mask.size))

    def axis_at(self, stamp: int) -> Axis:
        """Where its axis should be."""
        moved = self.region.axis.moved(self.velocity * self._unseen(stamp))
        return moved.within(self.region.mask.shape)

    def _unseen(self, stamp: int) -> float:
        """Seconds since it was seen, for as long as its velocity can be believed."""
        return min(max(stamp - self.seen, 0) * 1e-9, self._config.hold / 2)

    def predicted(self, stamp: int) -> Region:
        """Where it should be; shifted by its velocity for as long as that can be believed."""
        if self._prediction is None or self._prediction[0] != stamp:
            self._prediction = stamp, self._predict(stamp)
        return self._prediction[1]

    def _predict(self, stamp: int) -> Region:
        step = self.velocity * self._unseen(stamp)
        if np.abs(step).max() < 0.5:
            return self.region
        plane, size = self.region.mask.astype(np.uint8), self.region.mask.shape[::-1]
        moved = cv2.warpAffine(
            plane,
            self.region.axis.motion_to(self.axis_at(stamp)),
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
            now = (region.axis.ends - self.region.axis.ends) / seconds
            self.velocity += rate * (now - self.velocity)
        if region.owner is not None:  # a tip before or behind another tool is not seen to advance
            along = region.axis.direction
            self.velocity[1] -= (
                (1 - self._config.contact_damping) * (self.velocity[1] @ along) * along
            )
        self.score += rate * (quality - self.score)
        self.region, self.seen, self._prediction = region, stamp, None
        self.hits += 1
        self.evidence += self._worth(region)
        if region.entry is not None:
            self.entry = region.entry

    def missed(self) -> None:
        """It was not seen."""
        self.hits, self.evidence = 0, 0.0
        self.misses += not self.confirmed
        self.score *= 1 - self._config.smoothing
