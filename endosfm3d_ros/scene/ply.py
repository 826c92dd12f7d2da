"""Clouds as PLY files, which every viewer of point clouds opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.files.ply import read_ply, write_ply
from endosfm3d_ros.types import Cloud

FIELDS = [
    ("x", "f4"), ("y", "f4"), ("z", "f4"), ("nx", "f4"), ("ny", "f4"), ("nz", "f4"),
    ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("confidence", "f4"), ("label", "u1"),
]  # fmt: skip


def write_cloud(path: Path, cloud: Cloud, *comments: str) -> None:
    """Binary PLY of N points; the comments name frame and units of the positions."""
    vertices = np.zeros(len(cloud.points), FIELDS)
    for i, axis in enumerate("xyz"):
        vertices[axis] = cloud.points[:, i]
        vertices[f"n{axis}"] = np.nan_to_num(cloud.normals[:, i])
    for i, colour in enumerate(("red", "green", "blue")):
        vertices[colour] = cloud.colors[:, i]
    vertices["confidence"], vertices["label"] = cloud.confidence, cloud.labels
    with replacing(path) as scratch:
        write_ply(scratch, {"vertex": vertices}, comments)


def read_cloud(path: Path) -> Cloud:
    """What `write_cloud` wrote."""
    vertices = read_ply(path)["vertex"]
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
