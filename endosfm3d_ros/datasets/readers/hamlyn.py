"""Rectified Hamlyn sequences."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with images of the left eye and intrinsics."""
    from endosfm3d_ros.datasets.published.hamlyn import sequence_folder

    return sequence_folder(path) is not None


READER = Reader(
    words="a rectified Hamlyn sequence (image01/ beside intrinsics.txt)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.hamlyn:HamlynSequence",
    rank=42,
)
