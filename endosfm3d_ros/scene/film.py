"""A film of a stream: image with instruments, depth, and the image seen through instruments."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.scene.composite import Compositor
from endosfm3d_ros.scene.film_file import FilmFile
from endosfm3d_ros.scene.pictures import depth_colours, depth_range
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState

COLOURS = ((90, 165, 245), (245, 155, 75), (130, 215, 130), (215, 130, 215))  # RGB by tool id
BAND = 26  # px above the pictures for captions, and below them for the colour bar
INK, PAPER = (235, 235, 235), (24, 24, 28)


class Film:
    """Writes an MP4; the file is complete after `close`.

    Args:
        path: of the file.
        fps: of the stream.
        width: px of one picture; height follows from the first image.
    """

    def __init__(self, path: Path, fps: float, width: int = 400) -> None:
        self._path, self._fps, self._width = path, fps, width
        self._file: FilmFile | None = None
        self._range = (0.0, 1.0)
        self._first = 0
        self._compositor = Compositor()

    def add(self, update: SceneUpdate) -> np.ndarray:
        """One frame, (H, W, 3) uint8 RGB as it went into the film; colours span the first depth."""
        if self._file is None:
            height = round(self._width * update.image.shape[0] / update.image.shape[1])
            self._size = self._width, height - height % 2
            self._range = depth_range(update.depth.depth)
            self._first = update.frame.stamp
            count = 2 if update.tissue is None else 3
            size = count * self._width, self._size[1] + 2 * BAND
            self._file = FilmFile(self._path, self._fps, (size[0] - size[0] % 2, size[1]))
        picture = self._picture(update)
        self._file.write(picture)
        return picture

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()

    def _picture(self, update: SceneUpdate) -> np.ndarray:
        """The panels side by side with captions above and a colour bar below."""
        shown = panels(update, self._range, self._compositor)
        small = [cv2.resize(p, self._size, interpolation=cv2.INTER_AREA) for p in shown.values()]
        width = self._width * len(small)
        head = np.full((BAND, width, 3), PAPER, np.uint8)
        foot = head.copy()
        for k, caption in enumerate(shown):
            _write(head, caption, 8 + k * self._width)
        seconds = (update.frame.stamp - self._first) * 1e-9
        tracked = update.pose.state == TrackingState.TRACKING
        _write(foot, f"{seconds:.2f} s{'' if tracked else '  ' + update.pose.state.value}", 8)
        _colour_bar(foot, self._width, self._width, self._range, update)
        return np.vstack([head, np.hstack(small), foot])


def panels(
    update: SceneUpdate, span: tuple[float, float], compositor: Compositor
) -> dict[str, np.ndarray]:
    """{caption: (H, W, 3) uint8 RGB} of one frame; depth colours span (near, far)."""
    shown = {
        "image, instruments": with_tools(update),
        f"depth ({update.depth.source})": depth_colours(update.depth.depth, *span),
    }
    if update.tissue is not None:
        shown["instruments seen through (tint: never seen)"] = compositor.picture(update)
    return shown


def with_tools(update: SceneUpdate) -> np.ndarray:
    """(H, W, 3) uint8 RGB image with the outline of each instrument's model and its id.

    The outline is thin where the pose is not trusted.
    """
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


def _write(strip: np.ndarray, text: str, x: int) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(strip, text, (x, BAND - 9), font, 0.42, INK, 1, cv2.LINE_AA)


def _colour_bar(
    strip: np.ndarray, x: int, width: int, span: tuple[float, float], update: SceneUpdate
) -> None:
    """Near to far, with numbers: mm, or the bare units where there are no metres."""
    relative = update.depth.scale == ScaleSource.RELATIVE
    ends = [f"{end:.3f} (relative)" if relative else f"{1e3 * end:.0f} mm" for end in span]
    first, last = x + (130 if relative else 70), x + width - (130 if relative else 70)
    ramp = np.linspace(*span, last - first)[None].repeat(BAND - 14, axis=0)
    strip[7:-7, first:last] = depth_colours(ramp, *span)
    _write(strip, ends[0], x + 6)
    _write(strip, ends[1], last + 8)
