"""EndoVis sequences."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with frames of the left eye."""
    return (path / "left_frames").is_dir()


READER = Reader(
    words="an EndoVis 2017 or 2018 sequence (left_frames/)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.endovis:EndoVisSequence",
    rank=44,
)
