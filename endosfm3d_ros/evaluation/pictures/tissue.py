"""What the tissue map shows beside what the camera saw, and its scores over time."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.evaluation.pictures.plots import new_figure
from endosfm3d_ros.evaluation.runs.tissue_protocol import TissueFrame
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.files.pictures import write_picture
from endosfm3d_ros.scene.film_file import FilmFile

NAMES = {"p1": "predicted (P1)", "p2": "fused (P2)", "hidden": "hidden disc"}


class TissueGallery:
    """Takes frames during an evaluation; image on the left, tissue without instruments right.

    Writes `tissue.mp4` with every frame as they come, and on `write` the sheet `tissue.png` and
    the plot `tissue_psnr.png`.

    Args:
        folder: where to.
        fps: of the film.
        rows: pictures on the sheet; of more frames about that many are taken evenly.
        width: px of one picture.
    """

    def __init__(self, folder: Path, fps: float = 10.0, rows: int = 10, width: int = 480) -> None:
        self._folder, self._fps, self._rows, self._width = folder, fps, rows, width
        self._film: FilmFile | None = None
        self._film_file = ExitStack()
        self._kept: list[np.ndarray] = []
        self._count, self._stride = 0, 1
        self._scores: dict[str, list[tuple[int, float]]] = {name: [] for name in NAMES}

    def add(self, frame: TissueFrame) -> None:
        """Take a frame; memory is bounded whatever their number."""
        self._scores[frame.kind].append((frame.i, frame.psnr))
        picture = self._side_by_side(frame)
        self._show(picture)
        if self._count % self._stride == 0:
            self._kept.append(picture)
        self._count += 1
        if len(self._kept) >= 2 * self._rows:
            self._kept, self._stride = self._kept[::2], 2 * self._stride

    def write(self) -> None:
        """Finish the film; write sheet and plot."""
        if self._film is not None:
            self._film.close()
            self._film_file.close()
        if self._kept:
            write_picture(self._folder / "tissue.png", np.vstack(self._kept)[..., ::-1])
        self._plot(self._folder / "tissue_psnr.png")

    def _side_by_side(self, frame: TissueFrame) -> np.ndarray:
        """(h, 2 w, 3) uint8 BGR with a caption; even sides, as films need."""
        height = round(self._width * frame.image.shape[0] / frame.image.shape[1] / 2) * 2
        size = (self._width, height)
        pair = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                for picture in (frame.image, frame.rendered)]  # fmt: skip
        labelled = np.ascontiguousarray(np.hstack(pair)[..., ::-1])
        text = f"{NAMES[frame.kind]}, frame {frame.i}, {frame.psnr:.1f} dB"
        place, white = (self._width + 8, 20), (255, 255, 255)
        cv2.putText(labelled, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1, cv2.LINE_AA)
        return labelled

    def _show(self, picture: np.ndarray) -> None:
        if self._film is None:
            path = self._film_file.enter_context(replacing(self._folder / "tissue.mp4"))
            self._film = FilmFile(path, self._fps, picture.shape[1::-1])
        self._film.write(picture[..., ::-1])

    def _plot(self, path: Path) -> None:
        figure = new_figure(8, 4)
        axes = figure.subplots()
        for kind, points in self._scores.items():
            if points:
                axes.plot(*zip(*points), "o-", markersize=3, label=NAMES[kind])
        axes.set(xlabel="frame", ylabel="PSNR on tissue in dB")
        axes.grid(alpha=0.3)
        if any(self._scores.values()):
            axes.legend()
        with replacing(path) as scratch:
            figure.savefig(scratch, dpi=110)
