"""Baselines of depth on a clip whose truth is a tilted plane lit from the camera."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.depth_baselines import baseline_scores, mean_plane
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame

HEIGHT, WIDTH = 96, 128


def tilted(strength):
    """Depth of a plane: inverse depth is linear over the image."""
    y = np.linspace(-1, 1, HEIGHT)[:, None]
    return np.broadcast_to(0.05 / (1 + strength * y), (HEIGHT, WIDTH)).astype(np.float32)


class Planes(Sequence):
    """Two frames; brightness falls with the square of the distance along the ray."""

    name, fps = "planes", 10.0
    camera = PinholeCamera.default(WIDTH, HEIGHT)
    depths = (tilted(0.4), 2 * tilted(0.2))

    def __len__(self):
        return 3

    def __iter__(self):
        return (self[i] for i in range(3))

    def __getitem__(self, i):
        depth = self.depths[min(i, 1)]
        ray = np.linalg.norm(self.camera.rays(), axis=-1)
        light = (depth.min() / (depth * ray)) ** 2
        grey = (230 * light ** (1 / 2.2)).astype(np.uint8)
        return Frame(stamp=i, image=np.repeat(grey[..., None], 3, axis=2), camera=self.camera)

    def reference_depth(self, i):
        return self.depths[i] if i < 2 else None


def test_baselines_rank_as_they_must():
    scores = baseline_scores(Planes(), [0, 1, 2])
    constant, brightness, plane = (
        scores[f"{name}_abs_rel_median_scaled"] for name in ("constant", "brightness", "mean_plane")
    )
    assert plane < constant and brightness < constant
    assert plane == pytest.approx(0.05, abs=0.02)  # between the two tilts
    assert scores["mean_plane_abs_rel_affine"] < 1e-4


def test_the_mean_plane_of_one_frame_is_its_plane():
    depth = tilted(0.3)
    plane = mean_plane([depth])
    np.testing.assert_allclose(plane / plane.mean(), depth / depth.mean(), rtol=1e-4)


def test_without_reference_there_is_nothing():
    assert baseline_scores(Planes(), [2]) == {}
