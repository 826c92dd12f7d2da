"""What the tissue map shows beside what the camera saw, and its scores over time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.evaluation.tissue_protocol import TissueFrame

NAMES = {"p1": "predicted (P1)", "p2": "fused (P2)", "hidden": "hidden disc"}


class TissueGallery:
    """Collects frames during an evaluation; writes `tissue.png` and `tissue_psnr.png`.

    Args:
        rows: pictures on the sheet; more frames are sampled evenly.
        width: px of one picture.
    """

    def __init__(self, rows: int = 10, width: int = 480) -> None:
        self._rows, self._width = rows, width
        self._pictures: list[tuple[str, int, np.ndarray]] = []
        self._scores: dict[str, list[tuple[int, float]]] = {name: [] for name in NAMES}

    def add(self, frame: TissueFrame) -> None:
        """Take a frame; its pictures are kept small."""
        self._scores[frame.kind].append((frame.i, frame.psnr))
        height = round(self._width * frame.image.shape[0] / frame.image.shape[1])
        both = (frame.image, frame.rendered)
        small = [cv2.resize(picture, (self._width, height), interpolation=cv2.INTER_AREA)
                 for picture in both]  # fmt: skip
        self._pictures.append((frame.kind, frame.i, np.hstack(small)))

    def write(self, folder: Path) -> None:
        """Image on the left, tissue without instruments on the right; and a plot of the PSNR."""
        picks = np.linspace(0, len(self._pictures) - 1, min(self._rows, len(self._pictures)))
        sheet = []
        for kind, i, picture in (self._pictures[k] for k in picks.round().astype(int)):
            labelled = np.ascontiguousarray(picture)
            place, white = (self._width + 8, 20), (255, 255, 255)
            text = f"{NAMES[kind]}, frame {i}"
            cv2.putText(labelled, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1, cv2.LINE_AA)
            sheet.append(labelled)
        if sheet:
            cv2.imwrite(str(folder / "tissue.png"), np.vstack(sheet)[..., ::-1])
        self._plot(folder / "tissue_psnr.png")

    def _plot(self, path: Path) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for kind, points in self._scores.items():
            if points:
                axes.plot(*zip(*points), "o-", markersize=3, label=NAMES[kind])
        axes.set(xlabel="frame", ylabel="PSNR on tissue in dB")
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, dpi=110)
