"""Clouds put together: bounded, most confident first, tools labelled."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.scene.accumulator import CloudAccumulator
from endosfm3d_ros.scene.cloud import joined, thinned
from endosfm3d_ros.scene.ply import read_cloud, write_cloud
from endosfm3d_ros.types import Cloud


def cloud(points: np.ndarray, confidence: float = 0.5) -> Cloud:
    count = len(points)
    return Cloud(
        points=points.astype(np.float32),
        colors=np.full((count, 3), 100, np.uint8),
        normals=np.tile(np.float32([0, 0, -1]), (count, 1)),
        confidence=np.full(count, confidence, np.float32),
        labels=np.zeros(count, np.uint8),
    )


def random_cloud(count: int, seed: int = 0, confidence: float = 0.5) -> Cloud:
    return cloud(np.random.default_rng(seed).uniform(-0.05, 0.05, (count, 3)), confidence)


def test_points_are_moved_into_the_map_and_the_more_confident_one_stays():
    T = se3.from_vectors([0, np.pi / 2, 0], [0.1, 0, 0])
    accumulator = CloudAccumulator(voxel=0.001)
    accumulator.add(cloud(np.array([[0, 0, 0.05]]), 0.4), T)
    accumulator.add(cloud(np.array([[0, 0, 0.05001]]), 0.9), T)
    kept = accumulator.cloud
    assert kept.confidence.tolist() == [np.float32(0.9)]
    assert np.allclose(kept.points, [[0.15, 0, 0]], atol=1e-4)
    assert np.allclose(kept.normals, [[-1, 0, 0]], atol=1e-6)


def test_doubtful_points_are_left_out():
    accumulator = CloudAccumulator()
    accumulator.add(random_cloud(100, confidence=0.05), np.eye(4))
    assert len(accumulator.cloud.points) == 0


def test_the_number_of_points_is_bounded():
    accumulator = CloudAccumulator(voxel=1e-4, limit=2000)
    for seed in range(10):
        accumulator.add(random_cloud(3000, seed), np.eye(4))
    assert len(accumulator.cloud.points) <= 2000
    assert accumulator.voxel > 1e-4


def test_joined_and_thinned():
    both = joined([random_cloud(700, 1), random_cloud(301, 2)])
    assert len(both.points) == 1001
    assert len(thinned(both, 100).points) <= 100
    assert len(thinned(both, 5000).points) == 1001


def test_a_ply_keeps_everything(tmp_path):
    before = random_cloud(50)
    write_cloud(tmp_path / "cloud.ply", before, "metres")
    after = read_cloud(tmp_path / "cloud.ply")
    for name in ("points", "colors", "normals", "confidence", "labels"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
