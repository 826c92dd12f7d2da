"""What the tracker hands on. Frozen; arrays inside are never written to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TrackedTool:
    """One instrument in one image."""

    id: int  # 1..254, the same for as long as the tool is known
    mask: np.ndarray  # (H, W) bool as segmented, not dilated; empty while lost
    bbox: tuple[int, int, int, int]  # x, y, width, height in px; the last one while lost
    score: float  # 0..1, how well it has matched lately
    born: int  # ns, stamp of the image in which it first appeared
    lost: bool  # True: not seen in this image, hidden or missed
    probability: float = float("nan")  # by the mask's network, mean over the mask; NaN: it has none


@dataclass(frozen=True)
class ToolTracks:
    """All instruments of one image."""

    tools: tuple[TrackedTool, ...]
    labels: np.ndarray  # (H, W) uint8, 0 = tissue, else the id
    segmented: np.ndarray  # (H, W) bool, everything segmented, whether it is a tool yet or not
    excluded: np.ndarray  # (H, W) bool, everything segmented, dilated: not to be mapped as tissue
    born: tuple[int, ...]  # ids that became tools with this image
    died: tuple[int, ...]  # ids that are given up with this image
    stamp: int  # ns
    usable: bool = True
    reason: str = ""  # why the mask could not be used; tools are held
    source: str = ""  # of the mask
