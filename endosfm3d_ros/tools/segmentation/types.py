"""What segmentation hands on. Frozen; arrays inside are never written to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PARTS = ("tissue", "shaft", "wrist", "clasper")  # classes of the EndoVis 2017 challenge


@dataclass(frozen=True)
class ToolMask:
    """Where the instruments are in one image.

    A mask that is not usable is empty, and the reason says what was wrong: what is behind the
    tools in such a frame is unknown, which is not the same as an image without tools.
    """

    mask: np.ndarray  # (H, W) bool, True on instruments
    source: str  # topic | colour | network
    stamp: int = 0  # ns, of the image
    usable: bool = True
    reason: str = ""  # why not usable
    labels: np.ndarray | None = None  # (H, W) uint8, 1.. = tool; None: the source tells none apart
    probability: np.ndarray | None = None  # (H, W) float32 0..1; None: the source has none
    parts: np.ndarray | None = None  # (H, W) uint8 index into PARTS; None: the source has none

    @property
    def area_share(self) -> float:
        """Share of the image, 0..1."""
        return float(np.count_nonzero(self.mask) / self.mask.size)

    @classmethod
    def unusable(cls, shape: tuple[int, int], source: str, stamp: int, reason: str) -> ToolMask:
        """Nothing, and why."""
        return cls(np.zeros(shape, bool), source, stamp, False, reason)
