"""How much of the true surface a complete cloud covers."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.datasets.formats.surface_truth import Surface
from endosfm3d_ros.evaluation.parts.cloud import CloudPart, covered
from endosfm3d_ros.geometry.clouds import lift
from endosfm3d_ros.types import ScaleSource


@pytest.fixture
def scored(clip, make_update):
    """Scores of a cloud of a plane at 50 mm against a surface."""

    def score(surface: Surface | None, scale: ScaleSource = ScaleSource.CONSTANT):
        sequence = clip(1)
        sequence.surface = {0: surface}.get
        part = CloudPart(sequence, pipeline=None)
        for i, frame in enumerate(sequence):
            part.add(i, make_update(frame, scale=scale))
        assert (part.pending_bytes > 0) == (
            surface is not None and scale is not ScaleSource.RELATIVE
        )
        part.settle()
        assert part.pending_bytes == 0
        return part.scores()

    return score


def plane(camera, z: float) -> np.ndarray:
    return lift(np.full((camera.height, camera.width), z, np.float32), camera).reshape(-1, 3)


def labelled(points: np.ndarray, label: int = 0) -> Surface:
    return Surface(points, np.full(len(points), label, np.uint8))


def test_a_surface_is_covered_within_two_millimetres(scored, clip):
    camera = clip(1).camera
    for z, share in ((0.050, 1.0), (0.0515, 1.0), (0.053, 0.0)):
        scores = scored(labelled(plane(camera, z)))
        assert scores.values["covered"] == scores.values["covered_tissue"] == share
        assert "covered_tools" not in scores.values


def test_tissue_does_not_cover_an_instrument(scored, clip):
    points = plane(clip(1).camera, 0.05)
    both = Surface(
        np.concatenate([points, points]), np.repeat([0, 2], len(points)).astype(np.uint8)
    )
    values = scored(both).values
    assert (values["covered"], values["covered_tissue"], values["covered_tools"]) == (0.5, 1, 0)


def test_without_truth_or_scale_there_are_no_scores(scored, clip):
    assert scored(None) is None
    surface = labelled(plane(clip(1).camera, 0.05))
    assert scored(surface, ScaleSource.RELATIVE) is None


def test_nothing_covers_nothing():
    assert not covered(np.zeros((3, 3)), np.empty((0, 3))).any()
