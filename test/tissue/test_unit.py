"""A change of metric scale reaches everything that the map remembers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig, TrackedFrame
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.tissue.map import TissueMap
from endosfm3d_ros.types import Frame, ScaleEstimate, ScaleSource, TrackingState

from .conftest import DISTANCE, FPS, Sheet, pose_of

GROWTH = 1.15


def aside(millimetres: float) -> np.ndarray:
    return se3.from_rotation(np.eye(3), np.array([1e-3 * millimetres, 0, 0]))


def show(tissue: TissueMap, sheet: Sheet, i: int, T: np.ndarray, unit: float, labels=None):
    """A frame of the sheet in a world that is as many times as large."""
    image, depth = sheet.frame(i, T)
    if labels is not None:
        image[labels > 0], depth[labels > 0] = 0, np.nan
    given = sheet.depth_map(depth * np.float32(unit), i)
    pose = pose_of(se3.scaled(T, unit))
    return tissue.update(image, given, pose, labels, budget=0.0, unit=unit)


@pytest.fixture
def grown(config) -> tuple[TissueMap, Sheet, int]:
    """A map that lost sight of half of its tissue, and hid a part, before the unit changed."""
    tissue, sheet = TissueMap(config), Sheet(rise=0.002)
    labels = np.zeros((128, 160), np.uint8)
    labels[40:80, 60:100] = 1
    for i in range(12):
        show(tissue, sheet, i, aside(1.5 * i), 1.0, labels if i > 5 else None)
    for i in range(12, 15):
        show(tissue, sheet, i, aside(1.5 * i), GROWTH, labels)
    return tissue, sheet, 15


def test_points_out_of_sight_and_under_instruments_are_in_new_metres(grown):
    tissue, sheet, _ = grown
    assert tissue.frame == 14  # it did not start anew
    store = tissue.store
    alive = np.flatnonzero(store.alive & ~store.view("guessed"))
    points = store.means[alive] / GROWTH
    hidden = store.seen[alive] < 11  # long before the change
    assert hidden.sum() > 200
    truth = sheet.place(sheet.material(points[hidden], 14), 14)
    assert np.median(np.abs(points[hidden, 2] - truth[:, 2])) < 0.01 * DISTANCE
    assert np.abs(points[:, 2] / DISTANCE - 1).max() < 0.1
    # and as large as their neighbours, which are seen
    size = store.scales[alive, 0]
    assert np.median(size[hidden]) == pytest.approx(np.median(size[~hidden]), rel=0.12)


def test_the_graph_the_past_and_the_views_are_in_new_metres(grown):
    tissue, _, _ = grown
    view = tissue.at_stamp(int(3 * 1e9 / FPS), Sheet().camera)
    assert np.nanmedian(view.depth) == pytest.approx(GROWTH * DISTANCE, rel=0.05)
    assert tissue.history.pose(int(3 * 1e9 / FPS))[0, 3] == pytest.approx(GROWTH * 4.5e-3, rel=1e-6)
    graph = tissue.graph
    apart = np.linalg.norm(np.subtract(*graph.positions[graph.edges.T]), axis=1)
    assert np.median(np.abs(graph.state()["rest"] / apart - 1)) < 0.03
    views = tissue._localiser.keyframes.state()
    assert views["keyframe_depths"] == pytest.approx(GROWTH * DISTANCE, rel=0.05)
    assert views["keyframe_poses"][:, 0, 3].max() > 0.9 * GROWTH * 1.5e-3 * 11


def test_the_camera_is_found_again_after_the_change(grown):
    """By itself, while the tracker is lost: the map is told only that the pose is held."""
    tissue, sheet, i = grown
    image, depth = sheet.frame(i, aside(21))
    given = sheet.depth_map(depth * np.float32(GROWTH), i)
    lost = pose_of(se3.scaled(aside(0), GROWTH), TrackingState.LOST)
    view = tissue.update(image, given, lost, None, budget=0.0, unit=GROWTH)
    assert view.state == TrackingState.TRACKING
    assert view.T_map_camera[0, 3] == pytest.approx(GROWTH * 21e-3, abs=1.5e-3)


def test_a_pipeline_tells_its_map(config):
    pipeline = Pipeline(
        PipelineConfig(
            EstimatorConfig("topic", intrinsics=IntrinsicsConfig("fixed")), tissue=config
        )
    )
    sheet = Sheet()
    for i in range(6):
        image, depth = sheet.frame(i)
        frame = Frame(int(i * 1e9 / FPS), image, camera=sheet.camera, depth=depth)
        tracked = pipeline.track(frame)
        factor = 1.0 if i < 4 else GROWTH
        update = replace(
            tracked.update,
            depth=replace(tracked.update.depth, depth=depth * np.float32(factor)),
            scale=ScaleEstimate(factor, 0.01, ScaleSource.KINEMATICS, 9),
        )
        view = pipeline.map(replace(tracked, update=update)).tissue
    assert isinstance(tracked, TrackedFrame) and pipeline.tissue.frame == 5
    store = pipeline.tissue.store
    z = store.view("means")[store.alive][:, 2]
    assert np.abs(z / (GROWTH * DISTANCE) - 1).max() < 0.02
    assert np.nanmedian(view.depth) == pytest.approx(GROWTH * DISTANCE, rel=0.005)
