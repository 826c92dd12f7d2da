"""The path of the camera in the two formats that trajectory tools read: TUM and KITTI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from endosfm3d_ros.files.atomic import write_text
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.run_folder.frame_record import FrameRecord

TUM, KITTI = "poses_tum.txt", "poses_kitti.txt"


def write_trajectory(folder: Path, records: Sequence[FrameRecord], units: str) -> dict[str, int]:
    """Write camera-to-map poses; returns {file: poses}.

    TUM leaves out frames whose tracking was lost: their pose is only held. KITTI has no way to
    leave one out, so that file is not written where a frame was lost.
    """
    known = [record for record in records if record.tracked or record.state.value != "lost"]
    head = f"# camera-to-map, {units}; stamp in s, tx ty tz qx qy qz qw\n"
    write_text(folder / TUM, head + "".join(_tum(record) for record in known))
    written = {TUM: len(known)}
    if len(known) == len(records):
        write_text(folder / KITTI, "".join(_kitti(record) for record in known))
        written[KITTI] = len(known)
    return written


def _tum(record: FrameRecord) -> str:
    translation, quaternion = se3.to_quaternion(record.T_map_camera)
    seconds = f"{record.stamp // 10**9}.{record.stamp % 10**9:09d}"
    return " ".join([seconds, *(f"{value:.9g}" for value in (*translation, *quaternion))]) + "\n"


def _kitti(record: FrameRecord) -> str:
    return " ".join(f"{value:.9g}" for value in record.T_map_camera[:3].ravel()) + "\n"
