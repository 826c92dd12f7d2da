"""EndoNeRF scenes."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with images and bounds."""
    return (path / "images").is_dir() and (path / "poses_bounds.npy").is_file()


READER = Reader(
    words="an EndoNeRF scene (images/ beside poses_bounds.npy)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.endonerf:EndoNeRFSequence",
    rank=22,
)
