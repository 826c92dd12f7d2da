"""Sessions of the dVRK's recorders."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with videos whose stamps lie beside them in JSON."""
    from endosfm3d_ros.datasets.published.dvrk_sidecar import session_videos

    return path.is_dir() and bool(session_videos(path))


READER = Reader(
    words="a dVRK recording session (*.mp4 beside *.json with the stamps of the frames, of "
    "dvrk_data or data_collection)",
    takes=takes,
    target="endosfm3d_ros.datasets.published.dvrk_session:DVRKSession",
    options=("left", "right", "poses", "image_layout"),
    rank=60,
)
