"""A film of a stream: image with instruments, depth, and the tissue without instruments."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.files.cv_files import open_video_writer
from endosfm3d_ros.scene.pictures import depth_colours, depth_range
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.types import SceneUpdate

COLOURS = ((90, 165, 245), (245, 155, 75), (130, 215, 130), (215, 130, 215))  # RGB by tool id


class Film:
    """Writes an MP4; the file is complete after `close`.

    Args:
        path: of the file.
        fps: of the stream.
        width: px of one picture; height follows from the first image.
    """

    def __init__(self, path: Path, fps: float, width: int = 400) -> None:
        self._path, self._fps, self._width = path, fps, width
        self._writer: cv2.VideoWriter | None = None
        self._range = (0.0, 1.0)

    def add(self, update: SceneUpdate) -> None:
        """One frame; depth colours span the range of the first."""
        if self._writer is None:
            height = round(self._width * update.image.shape[0] / update.image.shape[1])
            self._size = self._width, height - height % 2
            self._range = depth_range(update.depth.depth)
            panels = 2 if update.tissue is None else 3
            size = panels * self._size[0], self._size[1]
            self._writer = open_video_writer(self._path, self._fps, size)
        pictures = [with_tools(update), depth_colours(update.depth.depth, *self._range)]
        if update.tissue is not None:
            pictures.append(update.tissue.image)
        small = [cv2.resize(p, self._size, interpolation=cv2.INTER_AREA) for p in pictures]
        self._writer.write(np.hstack(small)[..., ::-1])

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


def with_tools(update: SceneUpdate) -> np.ndarray:
    """(H, W, 3) uint8 RGB image with the outline of each instrument's model and its id."""
    image = update.image.copy()
    for tool in update.tools.tools if update.tools else ():
        if tool.placement is None or not tool.placement.valid:
            continue
        points = tool.placement.points(tool.model.vertices)
        solid = silhouette(points, tool.model.faces, update.depth.camera).astype(np.uint8)
        outline, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        colour = COLOURS[tool.track.id % len(COLOURS)]
        cv2.drawContours(image, outline, -1, colour, 2 if tool.placement.trusted else 1)
        x, y, _, _ = cv2.boundingRect(solid)
        place = (x + 6, y + 24)
        cv2.putText(image, str(tool.track.id), place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 2)
    return image
