"""Plain messages of `plane_scene` as those of `rosbags`, and bags of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = ("height", "width", "encoding", "is_bigendian", "step", "data")
INFO = ("height", "width", "distortion_model", "binning_x", "binning_y")
NUMBERS = ("d", "k", "r", "p")
REGION = ("x_offset", "y_offset", "height", "width", "do_rectify")


def recorded(plain: SimpleNamespace, stamp: int, frame_id: str = "left_optical") -> Any:
    """The message of the fields of one."""
    time = _made("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    header = _made("std_msgs/msg/Header", stamp=time, frame_id=frame_id)
    if hasattr(plain, "k"):
        fields = {name: getattr(plain, name) for name in INFO}
        fields |= {name: np.asarray(getattr(plain, name), float) for name in NUMBERS}
        region = {name: getattr(plain.roi, name) for name in REGION}
        fields["roi"] = _made("sensor_msgs/msg/RegionOfInterest", **region)
        return _made("sensor_msgs/msg/CameraInfo", header=header, **fields)
    if hasattr(plain, "encoding"):
        fields = {name: getattr(plain, name) for name in IMAGE}
        return _made("sensor_msgs/msg/Image", header=header, **fields)
    return _made(
        "sensor_msgs/msg/CompressedImage", header=header, format=plain.format, data=plain.data
    )


def write_bag(
    path: Path, rows: Iterable[tuple[str, int, Any]], storage: StoragePlugin = StoragePlugin.MCAP
) -> Path:
    """A bag of (topic, nanoseconds, message), in their order."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, time, content in rows:
            kind = content.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], time, STORE.serialize_cdr(content, kind))
    return path


def _made(kind: str, **fields: Any) -> Any:
    return STORE.types[kind](**fields)
