"""StereoMIS sequence folders."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with a video."""
    return path.is_dir() and any(path.glob("*.mp4"))


READER = Reader(
    words="a StereoMIS folder (*.mp4 beside StereoCalibration.ini)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.stereomis:StereoMISSequence",
    options=("split",),
    rank=70,
)
