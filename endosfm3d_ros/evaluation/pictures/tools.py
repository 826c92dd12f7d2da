"""Models of instruments drawn over the images that they were placed in."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.evaluation.runs.tools import ToolsFrame
from endosfm3d_ros.files.pictures import write_picture

MASK, SILHOUETTE = (60, 255, 60), (255, 60, 60)  # RGB of the outlines


class ToolsGallery:
    """Collects frames during an evaluation; writes `tools.png`.

    Args:
        pictures: on the sheet; of more frames these many are taken evenly.
        width: px of one picture.
    """

    def __init__(self, pictures: int = 12, width: int = 400) -> None:
        self._count, self._width = pictures, width
        self._frames: list[np.ndarray] = []

    def add(self, frame: ToolsFrame) -> None:
        """Outlines of mask (green) and silhouette (red) on the left, the models on the right."""
        outlined = frame.image.copy()
        for mask, color in ((frame.mask, MASK), (frame.solid, SILHOUETTE)):
            found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(outlined, found, -1, color, 2)
        covered = frame.solid[..., None]
        blended = np.where(covered, frame.rendered, frame.image // 2)
        both = np.hstack([outlined, blended])
        size = 2 * self._width, round(self._width * both.shape[0] * 2 / both.shape[1])
        small = cv2.resize(both, size, interpolation=cv2.INTER_AREA)
        cv2.putText(small, str(frame.i), (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
        self._frames.append(small)

    def write(self, folder: Path) -> None:
        """Two pairs of pictures a row."""
        if not self._frames:
            return
        picks = np.linspace(0, len(self._frames) - 1, min(self._count, len(self._frames)))
        chosen = [self._frames[k] for k in np.unique(picks.round().astype(int))]
        if len(chosen) % 2:
            chosen.append(np.zeros_like(chosen[0]))
        rows = [np.hstack(chosen[k : k + 2]) for k in range(0, len(chosen), 2)]
        write_picture(folder / "tools.png", np.vstack(rows))
