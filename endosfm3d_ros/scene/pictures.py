"""Pictures of what the pipeline sees, for people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.types import DepthMap, SceneUpdate


def depth_colours(depth: np.ndarray, near: float, far: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB: near is yellow, far is dark blue, invalid is black."""
    share = np.clip((far - np.nan_to_num(depth, nan=far)) / max(far - near, 1e-9), 0, 1)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    colours[~np.isfinite(depth)] = 0
    return colours[..., ::-1]


def depth_range(depth: DepthMap) -> tuple[float, float]:
    """(near, far) that show most of a map; 0 and 1 where it is empty."""
    valid = depth.depth[depth.valid]
    if not len(valid):
        return 0.0, 1.0
    near, far = np.percentile(valid, (2, 98))
    return float(near), float(far)


class ContactSheet:
    """Rows of image, depth and confidence of a few frames spread over a stream.

    Holds at most `2 * rows` small pictures: when it is full, every second one is dropped and
    from then on only every second frame that would have been taken is.
    """

    def __init__(self, rows: int = 8, width: int = 240) -> None:
        self.rows, self.width = rows, width
        self._pictures: list[tuple[int, np.ndarray]] = []
        self._every = 1
        self._range: tuple[float, float] | None = None

    def add(self, i: int, update: SceneUpdate) -> None:
        """Consider the frame at position `i`."""
        if i % self._every:
            return
        if self._range is None:
            self._range = depth_range(update.depth)
        self._pictures.append((i, self._row(update)))
        if len(self._pictures) > 2 * self.rows:
            self._pictures = self._pictures[::2]
            self._every *= 2

    def write(self, path: Path) -> None:
        """PNG with one row per frame; nothing is written for a stream without frames."""
        if not self._pictures:
            return
        chosen = np.linspace(0, len(self._pictures) - 1, min(self.rows, len(self._pictures)))
        sheet = np.vstack([self._labelled(*self._pictures[round(k)]) for k in chosen])
        cv2.imwrite(str(path), sheet[..., ::-1])

    def _row(self, update: SceneUpdate) -> np.ndarray:
        height = round(self.width * update.image.shape[0] / update.image.shape[1])
        confidence = cv2.applyColorMap(
            (update.depth.confidence * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS
        )[..., ::-1]
        tiles = (update.image, depth_colours(update.depth.depth, *self._range), confidence)
        size = (self.width, height)
        return np.hstack([cv2.resize(t, size, interpolation=cv2.INTER_AREA) for t in tiles])

    def _labelled(self, i: int, row: np.ndarray) -> np.ndarray:
        row = np.ascontiguousarray(row)
        place, white = (6, 16), (255, 255, 255)
        cv2.putText(row, f"frame {i}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, white, 1, cv2.LINE_AA)
        return row
