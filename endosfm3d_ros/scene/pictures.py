"""Pictures of what the pipeline sees, for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.files.pictures import write_picture
from endosfm3d_ros.types import SceneUpdate


def depth_colours(depth: np.ndarray, near: float, far: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB: near is yellow, far is dark blue, invalid is black."""
    share = np.clip((far - np.nan_to_num(depth, nan=far)) / max(far - near, 1e-9), 0, 1)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    colours[~np.isfinite(depth)] = 0
    return colours[..., ::-1]


def depth_range(depth: np.ndarray) -> tuple[float, float]:
    """(near, far) that show most of one or more maps; 0 and 1 where they are empty."""
    valid = depth[np.isfinite(depth)]
    if not len(valid):
        return 0.0, 1.0
    near, far = np.percentile(valid, (2, 98))
    return float(near), float(far)


@dataclass(frozen=True)
class _Picture:
    """One frame of the sheet, small."""

    position: int
    image: np.ndarray  # (h, w, 3) uint8 RGB
    depth: np.ndarray  # (h, w) float32
    confidence: np.ndarray  # (h, w) float32


class ContactSheet:
    """Rows of image, depth and confidence of a few frames spread over a stream.

    Holds at most `2 * rows` small pictures: when it is full, every second one is dropped and
    from then on only every second frame that would have been taken is. Depth colours span the
    same range in all rows.
    """

    def __init__(self, rows: int = 8, width: int = 240) -> None:
        self.rows, self.width = rows, width
        self._pictures: list[_Picture] = []
        self._every = 1

    def add(self, i: int, update: SceneUpdate) -> None:
        """Consider the frame at position `i`."""
        if i % self._every:
            return
        size = self.width, round(self.width * update.image.shape[0] / update.image.shape[1])
        self._pictures.append(
            _Picture(
                i,
                cv2.resize(update.image, size, interpolation=cv2.INTER_AREA),
                cv2.resize(update.depth.depth, size, interpolation=cv2.INTER_NEAREST),
                cv2.resize(update.depth.confidence, size, interpolation=cv2.INTER_AREA),
            )
        )
        if len(self._pictures) > 2 * self.rows:
            self._pictures = self._pictures[::2]
            self._every *= 2

    def write(self, path: Path) -> None:
        """PNG with one row per frame; nothing is written for a stream without frames."""
        if not self._pictures:
            return
        chosen = np.linspace(0, len(self._pictures) - 1, min(self.rows, len(self._pictures)))
        pictures = [self._pictures[round(k)] for k in chosen]
        near, far = depth_range(np.stack([picture.depth for picture in pictures]))
        sheet = np.vstack([_row(picture, near, far) for picture in pictures])
        write_picture(path, sheet)


def _row(picture: _Picture, near: float, far: float) -> np.ndarray:
    """(h, 3w, 3) uint8 RGB: image, depth, confidence."""
    grey = (picture.confidence * 255).astype(np.uint8)
    confidence = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    row = np.hstack([picture.image, depth_colours(picture.depth, near, far), confidence])
    row = np.ascontiguousarray(row)
    font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
    cv2.putText(row, f"frame {picture.position}", (6, 16), font, 0.45, white, 1, cv2.LINE_AA)
    return row
