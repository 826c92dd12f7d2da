"""Clips of D4D (Dresden, da Vinci Xi): rectified eyes, camera_info of the session, masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.published.image_sequence import (
    ImageSequence,
    Layout,
    in_order,
    size_of,
)
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.cameras import rescaled
from endosfm3d_ros.inputs.plausibility import require_baseline
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import StereoGeometry

LEFT, RIGHT, MASKS = "left_images_rect", "right_images_rect", "left_images_rect_masks"
FPS = 25.0  # the layout does not say


def calibration_folder(clip: Path) -> Path | None:
    """camera_info of the session that a clip is of; None where there is none."""
    for folder in (clip, clip.parent, clip.parent.parent):
        if (folder / "camera_info" / "left.yaml").is_file():
            return folder / "camera_info"
    return None


class D4DSequence(ImageSequence):
    """A clip such as specimen_1/<session>/clips/Clip_1; eyes are paired by their sorted names.

    Args:
        folder: with left_images_rect/.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: no image, eyes of different counts, or a calibration that cannot be read.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        report = InputReport()
        left, right = in_order(folder / LEFT), in_order(folder / RIGHT)
        if right and len(right) != len(left):
            raise InputError(f"{folder} has {len(left)} left and {len(right)} right images")
        masks = in_order(folder / MASKS)
        if masks and len(masks) != len(left):
            raise InputError(f"{folder} has {len(left)} images and {len(masks)} masks")
        report.assumed(LEFT, "rate", f"{FPS:g} frames a second: the layout names no rate")
        source = calibration_folder(folder.resolve())
        if source is None:
            raise InputError(f"{folder}: the session has no camera_info/left.yaml")
        pair = _pair(source, size_of(left))
        layout = Layout(
            name=shown(folder.resolve().name), fps=FPS, left=left, right=right, masks=masks,
            camera=pair.left, stereo=pair if right else None,
        )  # fmt: skip
        super().__init__(layout, report, start)


def _pair(folder: Path, size: tuple[int, int]) -> StereoGeometry:
    P_left, P_right = (_projection(folder / f"{side}.yaml", size) for side in ("left", "right"))
    eyes = [PinholeCamera.from_matrix(P[:, :3], *size) for P in (P_left, P_right)]
    pair = StereoGeometry(*eyes, np.eye(3), P_left, np.eye(3), P_right)
    require_baseline(pair.baseline)
    return pair


def _projection(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(3, 4) of a camera_info file, at the size of the images."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text())
        said = content.get("projection_matrix", content.get("P", content.get("p")))
        values = said["data"] if isinstance(said, dict) else said
        P = np.array(values, np.float64).reshape(3, 4)
        width = content.get("image_width", content.get("width"))
        height = content.get("image_height", content.get("height"))
        return rescaled(P, size[0] / float(width), size[1] / float(height))
    except (OSError, YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a camera_info with a projection matrix is accepted") from error
