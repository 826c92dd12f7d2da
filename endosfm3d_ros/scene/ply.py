"""Clouds as PLY files, which every viewer of point clouds opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.types import Cloud

FIELDS = [
    ("x", "f4"), ("y", "f4"), ("z", "f4"), ("nx", "f4"), ("ny", "f4"), ("nz", "f4"),
    ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("confidence", "f4"), ("label", "u1"),
]  # fmt: skip


def write_cloud(path: Path, cloud: Cloud, comment: str) -> None:
    """Binary PLY of N points; positions in the units that the comment names."""
    vertices = np.zeros(len(cloud.points), FIELDS)
    for i, axis in enumerate("xyz"):
        vertices[axis] = cloud.points[:, i]
        vertices[f"n{axis}"] = np.nan_to_num(cloud.normals[:, i])
    for i, colour in enumerate(("red", "green", "blue")):
        vertices[colour] = cloud.colors[:, i]
    vertices["confidence"], vertices["label"] = cloud.confidence, cloud.labels
    element = PlyElement.describe(vertices, "vertex")
    with replacing(path) as scratch:
        PlyData([element], byte_order="<", comments=[comment]).write(str(scratch))


def read_cloud(path: Path) -> Cloud:
    """What `write_cloud` wrote."""
    vertices = PlyData.read(str(path))["vertex"]
    columns = {
        "points": ("x", "y", "z"),
        "colors": ("red", "green", "blue"),
        "normals": ("nx", "ny", "nz"),
    }
    triples = {
        name: np.stack([vertices[field] for field in fields], axis=1)
        for name, fields in columns.items()
    }
    return Cloud(
        **triples,
        confidence=np.asarray(vertices["confidence"]),
        labels=np.asarray(vertices["label"]),
    )
