"""Video files."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader

# What FFmpeg reads and endoscopy towers, phones and recorders write.
SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".avi", ".divx", ".mkv", ".webm",
    ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".vob", ".ts", ".mts", ".m2ts", ".m2t",
    ".wmv", ".asf", ".flv", ".ogv", ".ogg", ".ogm", ".mxf", ".nut", ".dv", ".dif", ".y4m", ".rm",
    ".rmvb", ".wtv", ".ivf", ".mjpg", ".mjpeg", ".h264", ".264", ".h265", ".265", ".hevc", ".gif",
)  # fmt: skip


def takes(path: Path) -> bool:
    """A file with one of the suffixes, in capitals or not."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


READER = Reader(
    words="a video file (.mp4, .avi, .mkv, .mov, .mpg, .ts, .wmv and others that FFmpeg reads)",
    takes=takes,
    target="endosfm3d_ros.datasets.videos.sequence:VideoSequence",
    options=("image_layout",),
    rank=20,
)
