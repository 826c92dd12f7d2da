"""rosbag2 recordings."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.readers import Reader


def takes(path: Path) -> bool:
    """A folder with storage files or metadata.yaml, or one storage file; ROS 1 bags are refused."""
    from endosfm3d_ros.datasets.bags.layout import is_bag

    return is_bag(path)


READER = Reader(
    words="a ROS 2 bag (folder, .mcap or .db3 file)",
    takes=takes,
    target="endosfm3d_ros.datasets.bags.sequence:BagSequence",
    options=("left", "right", "depth", "mask", "poses", "image_layout"),
    rank=10,
)
