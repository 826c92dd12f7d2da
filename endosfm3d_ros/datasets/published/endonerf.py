"""EndoNeRF scenes (Wang et al. 2022): images, masks and poses_bounds.npy; the camera
stands still.

Images and masks belong together by their sorted names. The depth of the data set has no unit, so it
is no reference here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.published.image_sequence import (
    ImageSequence,
    Layout,
    in_order,
    size_of,
)
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.report import InputReport

BOUNDS = "poses_bounds.npy"
FPS = 15.0  # the data set does not say


class EndoNeRFSequence(ImageSequence):
    """A scene such as pulling_soft_tissues.

    Args:
        folder: with images/ and poses_bounds.npy.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no image, masks of another count, or bounds that cannot be read.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        report = InputReport()
        images = in_order(folder / "images")
        masks = in_order(folder / "gt_masks") or in_order(folder / "masks")
        if masks and len(masks) != len(images):
            raise InputError(f"{folder} has {len(images)} images and {len(masks)} masks")
        report.assumed("images", "rate", f"{FPS:g} frames a second: the data set names no rate")
        if (folder / "depth").is_dir():
            said = "is left out: its steps have no unit"
            report.refused("depth", "unit", said, severity=1)
        layout = Layout(
            name=shown(folder.resolve().name), fps=FPS, left=images, masks=masks,
            camera=_camera(folder / BOUNDS, size_of(images)), is_tool=lambda plane: plane > 127,
        )  # fmt: skip
        super().__init__(layout, report, start)


def _camera(path: Path, size: tuple[int, int]) -> PinholeCamera:
    """Focal length as stored for its own size; the principal point is the middle."""
    try:
        height, width, focal = np.load(path, allow_pickle=False)[0, :15].reshape(3, 5)[:, 4]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path}: poses and bounds of N x 17 are accepted: {error}") from error
    if not (focal > 0 and width > 0 and height > 0):
        raise InputError(f"{path}: height {height}, width {width}, focal length {focal}")
    stored = PinholeCamera(
        int(width), int(height), float(focal), float(focal), (width - 1) / 2, (height - 1) / 2
    )
    return stored.resized(*size)
