"""Images without a camera file."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with images, and nothing that says more."""
    from endosfm3d_ros.datasets.clips.loose import image_folder

    return image_folder(path) is not None


READER = Reader(
    words="a folder of images of one eye (no camera file is needed)",
    takes=takes,
    target="endosfm3d_ros.datasets.clips.loose:LooseImages",
    rank=28,
)
