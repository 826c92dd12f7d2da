"""Clip folders of this package."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder of images."""
    return (path / "left").is_dir() or (path / "images").is_dir()


READER = Reader(
    words="a clip folder (left/ and right/, or images/, beside calibration.json or camera.json)",
    takes=takes,
    target="endosfm3d_ros.datasets.clips.sequence:ClipSequence",
    rank=30,
)
