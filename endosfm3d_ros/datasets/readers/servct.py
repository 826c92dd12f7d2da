"""SERV-CT experiments."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with rectified stills and their calibrations."""
    return (path / "Left_rectified").is_dir() and (path / "Rectified_calibration").is_dir()


READER = Reader(
    words="a SERV-CT experiment (Left_rectified/ beside Rectified_calibration/)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.servct:SERVCTSequence",
    rank=43,
)
