"""A stereo sequence in the layout of StereoMIS (see `stereomis`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.formats.poses import write_poses
from endosfm3d_ros.datasets.published.stereomis import CALIBRATION
from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.files.atomic import atomic_folder
from endosfm3d_ros.files.cv_files import open_video_writer
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PINHOLE, PinholeCamera
from endosfm3d_ros.inputs.compressed import encode_compressed
from endosfm3d_ros.types import StereoGeometry


def write_stereomis(
    sequence: Sequence,
    folder: Path,
    force: bool = False,
    on_frame: Callable[[int], None] = lambda _: None,
) -> None:
    """Write a sequence folder; it appears whole, at the end.

    The video is MPEG-4 (lossy), left eye above right eye. Poses are relative to the first frame.
    Depth has no place in this layout.

    Args:
        sequence: a pair without distortion.
        folder: the folder to make.
        force: replace a StereoMIS folder of that name.
        on_frame: called with the count of frames written.

    Raises:
        InputError: one eye only, or no frames.
        ConfigurationError: the folder exists and `force` is not set, or no video can be written.
    """
    if sequence.stereo is None or not len(sequence):
        raise InputError(f"{sequence.name} has one eye or no frames: StereoMIS needs a pair")
    with atomic_folder(folder, CALIBRATION, force) as scratch:
        scratch.mkdir()
        _write_video(sequence, scratch, on_frame)
        (scratch / CALIBRATION).write_text(_calibration(sequence.stereo))
        poses = [sequence.reference_pose(i) for i in range(len(sequence))]
        if poses[0] is not None:
            first = se3.inverse(poses[0])
            write_poses(
                scratch / "groundtruth.txt", {i: first @ pose for i, pose in enumerate(poses)}
            )


def _write_video(sequence: Sequence, folder: Path, on_frame: Callable[[int], None]) -> None:
    """The stacked video and, from 1, the masks (0 = instrument)."""
    width, height = sequence.camera.size
    path = folder / f"{sequence.name}.mp4"
    writer = open_video_writer(path, sequence.fps, (width, 2 * height))
    if not writer.isOpened():
        raise ConfigurationError(f"{path} cannot be written: this OpenCV has no MPEG-4 encoder")
    for i, frame in enumerate(sequence):
        stacked = np.concatenate([frame.image, frame.right_image])
        writer.write(cv2.cvtColor(stacked, cv2.COLOR_RGB2BGR))
        mask = sequence.mask(i)
        if mask is not None:
            (folder / "masks").mkdir(exist_ok=True)
            valid = np.where(mask, 0, 255).astype(np.uint8)
            file = folder / "masks" / f"{i + 1:06d}l.png"
            file.write_bytes(encode_compressed(valid, "png"))
        on_frame(i + 1)
    writer.release()


def _calibration(pair: StereoGeometry) -> str:
    """The ini file; R and T (millimetres) map raw left points into the raw right eye."""
    R = pair.R_right.T @ pair.R_left
    T = -pair.R_right.T @ np.array([pair.baseline, 0, 0]) * 1e3
    motion = [f"R_{i} = {value:.17g}\n" for i, value in enumerate(R.ravel())]
    motion += [f"T_{i} = {value:.17g}\n" for i, value in enumerate(T)]
    return _eye("StereoLeft", pair.left) + "\n" + _eye("StereoRight", pair.right) + "".join(motion)


def _eye(name: str, camera: PinholeCamera) -> str:
    if camera.lens != PINHOLE or len(camera.distortion) > 8:
        raise InputError(
            f"{camera.lens} lens with {len(camera.distortion)} coefficients: this layout holds "
            "eight of a pinhole"
        )
    distortion = (*camera.distortion, *(0.0,) * 8)[:8]
    values = {
        "res_x": camera.width, "res_y": camera.height, "fc_x": camera.fx, "fc_y": camera.fy,
        "cc_x": camera.cx, "cc_y": camera.cy,
        **{f"kc_{i}": value for i, value in enumerate(distortion)},
    }  # fmt: skip
    return f"[{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in values.items())
