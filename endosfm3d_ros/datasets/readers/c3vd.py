"""C3VD sequence folders."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with colour images of the data set."""
    return path.is_dir() and any(path.glob("*_color.png"))


READER = Reader(
    words="a C3VD folder (0000_color.png ..)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.c3vd:C3VDSequence",
    rank=50,
)
