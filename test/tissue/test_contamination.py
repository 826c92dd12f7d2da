"""Dark rims of instruments stay out of what the map remembers of the tissue below them."""

from __future__ import annotations

import cv2
import numpy as np


class Darkened:
    """A sheet over which a bar moves to the right, with a dark rim that its mask leaves out."""

    def __init__(self, sheet) -> None:
        self._sheet, self.camera = sheet, sheet.camera

    def labels(self, i: int) -> np.ndarray:
        labels = np.zeros((128, 160), np.uint8)
        labels[:, 8 + 2 * i : 40 + 2 * i] = 1
        return labels

    def frame(self, i: int, T: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        image, depth = self._sheet.frame(i, T)
        labels = self.labels(i)
        rim = cv2.dilate(labels, np.ones((7, 7))) > labels
        image[rim] = image[rim] // 2
        image[labels > 0] = (90, 95, 105)
        return image, depth

    def depth_map(self, *values, **named):
        return self._sheet.depth_map(*values, **named)


def test_what_goes_under_an_instrument_keeps_the_colours_it_had_in_the_clear(
    tissue, sheets, feeding
):
    sheet = sheets()
    moving = Darkened(sheet)
    feeding(tissue, sheet, 0)
    for i in range(1, 30):
        view = feeding(tissue, moving, i, moving.labels(i))
    clean, _ = sheet.frame(29)
    image, below = view.image.astype(int), moving.labels(29) > 0
    error = np.abs(image - clean)[below].mean()
    assert error < 4
