"""The complete scene as one PointCloud2."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from endosfm3d_ros.nodes.messages.conversions import byte_array, header
from endosfm3d_ros.types import Cloud

# One point of the complete cloud. `rgb` holds the bits 0x00RRGGBB, which is what PCL and RViz
# expect in a FLOAT32 field; 3 bytes of padding keep the points aligned to 4.
CLOUD_DTYPE = np.dtype(
    {
        "names": ["x", "y", "z", "rgb", "normal_x", "normal_y", "normal_z", "confidence", "label"],
        "formats": ["<f4", "<f4", "<f4", "<u4", "<f4", "<f4", "<f4", "<f4", "u1"],
        "itemsize": 36,
    }
)


def cloud_message(cloud: Cloud, stamp: int, frame_id: str) -> PointCloud2:
    """Unordered PointCloud2 of N points with the fields of `CLOUD_DTYPE`."""
    packed = _pack(cloud)
    floats = (cloud.points, cloud.normals, cloud.confidence)
    return PointCloud2(
        header=header(stamp, frame_id),
        height=1,
        width=len(packed),
        fields=_cloud_fields(),
        is_bigendian=False,
        point_step=CLOUD_DTYPE.itemsize,
        row_step=CLOUD_DTYPE.itemsize * len(packed),
        data=byte_array(packed),
        is_dense=all(bool(np.isfinite(values).all()) for values in floats),
    )


def _pack(cloud: Cloud) -> np.ndarray:
    """(N,) structured array of the points."""
    packed = np.zeros(len(cloud.points), CLOUD_DTYPE)
    for axis, name in enumerate("xyz"):
        packed[name] = cloud.points[:, axis]
        packed[f"normal_{name}"] = cloud.normals[:, axis]
    red, green, blue = cloud.colors.astype(np.uint32).T
    packed["rgb"] = red << 16 | green << 8 | blue
    packed["confidence"] = cloud.confidence
    packed["label"] = cloud.labels
    return packed


def _cloud_fields() -> list[PointField]:
    types = {"<f4": PointField.FLOAT32, "<u4": PointField.FLOAT32, "|u1": PointField.UINT8}
    return [
        PointField(name=name, offset=offset, datatype=types[dtype.str], count=1)
        for name, (dtype, offset) in CLOUD_DTYPE.fields.items()
    ]
