"""D4D clips."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with rectified images of the left eye."""
    return (path / "left_images_rect").is_dir()


READER = Reader(
    words="a D4D clip (left_images_rect/ in a session with camera_info/)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.d4d:D4DSequence",
    rank=45,
)
