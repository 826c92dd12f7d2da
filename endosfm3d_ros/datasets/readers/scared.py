"""SCARED keyframe folders."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with the video of a keyframe."""
    return (path / "data" / "rgb.mp4").is_file()


READER = Reader(
    words="a SCARED keyframe folder (data/rgb.mp4)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.scared:SCAREDSequence",
    rank=40,
)
