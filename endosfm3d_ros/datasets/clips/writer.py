"""Any sequence as a clip folder, with every reference value that it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.calibration import write_camera_file
from endosfm3d_ros.datasets.formats.intrinsics_table import CAMERAS, write_cameras
from endosfm3d_ros.datasets.formats.poses import write_poses
from endosfm3d_ros.datasets.formats.surface_truth import write_surface
from endosfm3d_ros.datasets.formats.tool_truth import ToolTruth, write_tools
from endosfm3d_ros.datasets.sequence import PART_STEP, Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.atomic import atomic_folder
from endosfm3d_ros.inputs.compressed import encode_compressed
from endosfm3d_ros.types import Frame

DEPTH_UNIT = 5e-6  # metres: 0.005 mm steps up to 327 mm, past any endoscopic working distance


def write_clip(
    sequence: Sequence,
    folder: Path,
    image_format: str = "jpeg",
    force: bool = False,
    on_frame: Callable[[int], None] = lambda _: None,
) -> None:
    """Write a clip folder; it appears whole, at the end.

    Stamps are not stored: a clip's frames are `fps` apart by their number. Depth beyond 327 mm
    becomes unknown.

    Args:
        sequence: anything with a camera.
        folder: the folder to make.
        image_format: "jpeg" (quality 95) or "png" (exact).
        force: replace a clip folder of that name.
        on_frame: called with the count of frames written.

    Raises:
        InputError: the sequence has no camera, or no frames.
        ConfigurationError: the folder exists and `force` is not set.
    """
    if sequence.camera is None or not len(sequence):
        raise InputError(f"{sequence.name} has no camera or no frames: a clip needs both")
    with atomic_folder(folder, "c*.json", force) as scratch:
        scratch.mkdir()
        poses = {}
        for i, frame in enumerate(sequence):
            number = sequence.number(i)
            _write_images(scratch, frame, number, image_format)
            _write_references(scratch, sequence, i)
            pose = sequence.reference_pose(i)
            if pose is not None:
                poses[number] = pose
            on_frame(i + 1)
        if poses:
            name = "poses_ref.txt" if sequence.poses_metric else "poses.txt"
            write_poses(scratch / name, poses)
        _write_valid(scratch, sequence)
        _write_cameras(scratch, sequence)
        write_tools(scratch, _tool_truth(sequence))
        write_camera_file(scratch, sequence.camera, sequence.stereo, sequence.fps, DEPTH_UNIT)


def _write_images(folder: Path, frame: Frame, number: int, image_format: str) -> None:
    suffix = {"jpeg": "jpg"}.get(image_format, image_format)
    left = "images" if frame.right_image is None else "left"
    _write(folder / left / f"{number:06d}.{suffix}", encode_compressed(frame.image, image_format))
    if frame.right_image is not None:
        encoded = encode_compressed(frame.right_image, image_format)
        _write(folder / "right" / f"{number:06d}.{suffix}", encoded)


def _write_references(folder: Path, sequence: Sequence, i: int) -> None:
    """Depth, masks and surface of frame `i`, where there are any."""
    planes = {
        "depth_ref": _in_units(sequence.reference_depth(i)),
        "masks": _as_bytes(sequence.mask(i)),
        "instances": sequence.instances(i),
        "ignore": _as_bytes(sequence.ignore(i)),
        "parts": _as_codes(sequence.parts(i)),
    }
    for name, plane in planes.items():
        if plane is not None:
            path = folder / name / f"{sequence.number(i):06d}.png"
            _write(path, encode_compressed(plane, "png"))
    surface = sequence.surface(i)
    if surface is not None:
        write_surface(folder, sequence.number(i), surface)


def _write_valid(folder: Path, sequence: Sequence) -> None:
    """`mask_valid.txt`, only where some mask must not be scored."""
    masked = [i for i in range(len(sequence)) if (folder / "masks" / _name(sequence, i)).exists()]
    valid = [i for i in masked if sequence.mask_valid(i)]
    if len(valid) < len(masked):
        numbers = "".join(f"{sequence.number(i)}\n" for i in valid)
        (folder / "mask_valid.txt").write_text("# frames whose masks may be scored\n" + numbers)


def _write_cameras(folder: Path, sequence: Sequence) -> None:
    """`intrinsics_ref.txt`, only where the camera's focal length changes."""
    cameras = {sequence.number(i): sequence.reference_camera(i) for i in range(len(sequence))}
    if any(camera not in (None, sequence.camera) for camera in cameras.values()):
        write_cameras(folder / CAMERAS, cameras)


def _tool_truth(sequence: Sequence) -> ToolTruth:
    """What is true of the instruments, empty where there are none."""
    meshes = sequence.tool_meshes()
    count = range(len(sequence) if meshes else 0)
    return ToolTruth(
        meshes,
        {sequence.number(i): sequence.tool_poses(i) for i in count},
        {sequence.number(i): sequence.tool_clearances(i) for i in count},
    )


def _name(sequence: Sequence, i: int) -> str:
    return f"{sequence.number(i):06d}.png"


def _in_units(depth: np.ndarray | None) -> np.ndarray | None:
    """(H, W) uint16 in `DEPTH_UNIT`, 0 = unknown."""
    if depth is None:
        return None
    units = np.round(np.nan_to_num(depth, nan=0.0) / DEPTH_UNIT)
    return np.where((units >= 1) & (units <= 65535), units, 0).astype(np.uint16)


def _as_codes(parts: np.ndarray | None) -> np.ndarray | None:
    """The codes of EndoVis 2017: 10 shaft, 20 wrist, 30 clasper."""
    return None if parts is None else (parts * PART_STEP).astype(np.uint8)


def _as_bytes(mask: np.ndarray | None) -> np.ndarray | None:
    return None if mask is None else mask.astype(np.uint8) * 255


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
