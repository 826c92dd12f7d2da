"""Clearance on geometry whose distances are known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.scene.clearance import clearances
from endosfm3d_ros.scene.cloud import joined
from endosfm3d_ros.scene.complete import tool_clouds
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.tools.types import ToolModel, ToolPlacement
from endosfm3d_ros.types import Cloud, CloudLabel, ScaleEstimate, ScaleSource, TrackingState

CAMERA = PinholeCamera(width=320, height=256, fx=300.0, fy=300.0, cx=160.0, cy=128.0)
RADIUS = 0.004  # m, of the rod
UNKNOWN = np.full((256, 320), np.nan, np.float32)
AXIS = 0.06  # m, its distance along the view


@pytest.fixture
def rod() -> ToolModel:
    """An instrument across the view: all its corners are at its two ends, 100 mm apart."""
    mesh = trimesh.creation.cylinder(RADIUS, 0.1, sections=32)
    turned = np.asarray(mesh.vertices)[:, [2, 0, 1]].astype(np.float32)
    colors = np.full(turned.shape, 150, np.uint8)
    return ToolModel(turned, np.asarray(mesh.faces, np.int32), colors, "mesh", True)


def tissue(points: np.ndarray, label: CloudLabel = CloudLabel.MEASURED) -> Cloud:
    count = len(points)
    return Cloud(
        points=points.astype(np.float32),
        colors=np.zeros((count, 3), np.uint8),
        normals=np.zeros((count, 3), np.float32),
        confidence=np.ones(count, np.float32),
        labels=np.full(count, label, np.uint8),
    )


def an_update(model: ToolModel, cloud: Cloud, trusted=True, **changes):
    t, covariance = np.array([0, 0, AXIS]), np.zeros((6, 6))
    reason = "" if trusted else "half of it is hidden"
    placement = ToolPlacement(np.eye(3), t, 1.0, 0.9, covariance, 0.0, trusted, reason)
    tool = PlacedTool(SimpleNamespace(id=2), model, placement, 1)
    parts = {
        "depth": SimpleNamespace(scale=ScaleSource.STEREO, camera=CAMERA, depth=UNKNOWN),
        "image": np.full((256, 320, 3), 100, np.uint8),
        "pose": SimpleNamespace(state=TrackingState.TRACKING),
        "tissue": SimpleNamespace(
            cloud=cloud, T_map_camera=np.eye(4), state=TrackingState.TRACKING
        ),
        "tools": SimpleNamespace(tools=(tool,)),
        "labels": np.zeros((256, 320), np.uint8),
        "scale": None,
    }
    return SimpleNamespace(**(parts | changes))


@pytest.mark.parametrize("gap", [0.0015, 0.006])
@pytest.mark.parametrize("along", [-0.03, 0.0, 0.017])
def test_the_side_of_a_shaft_is_as_near_as_it_is(rod, gap, along):
    """A fold of tissue below the middle of the rod, far from every corner of its mesh."""
    fold = np.array([[along, 0.0, AXIS + RADIUS + gap], [along, 0.05, 0.2]])
    (found,) = clearances(an_update(rod, tissue(fold)))
    assert found.valid
    assert found.id == 2
    assert found.distance == pytest.approx(gap, abs=2e-4)
    assert found.lower_bound_95 <= found.distance
    np.testing.assert_allclose(found.nearest, fold[0], atol=1e-6)


def test_the_cloud_of_a_tool_lies_on_it_all_around_and_leaves_no_gap(rod):
    (cloud,) = tool_clouds(an_update(rod, tissue(np.zeros((1, 3)))))
    sides = cloud.points[np.abs(cloud.points[:, 0]) < 0.049] - (0, 0, AXIS)
    radius = np.linalg.norm(sides[:, 1:], axis=1)
    np.testing.assert_allclose(radius, RADIUS, rtol=0.01)
    angles = np.arctan2(sides[:, 1], sides[:, 2])
    cells, *_ = np.histogram2d(sides[:, 0], angles, bins=(33, 8))  # 3 mm x 3 mm
    assert cells.min() > 0
    assert (cloud.labels == CloudLabel.TOOL + 2).all()
    outwards = (cloud.normals[np.abs(cloud.points[:, 0]) < 0.049][:, 1:] * sides[:, 1:]).sum(axis=1)
    assert (outwards > 0.9 * RADIUS).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"depth": SimpleNamespace(scale=ScaleSource.RELATIVE)}, "scale is relative"),
        ({"tissue": None}, "no tissue map"),
        ({"pose": SimpleNamespace(state=TrackingState.LOST)}, "tracking is lost"),
        ({"trusted": False}, "half of it is hidden"),
    ],
)
def test_no_distance_without_what_it_rests_on(rod, changes, reason):
    (found,) = clearances(an_update(rod, tissue(np.zeros((1, 3))), **changes))
    assert not found.valid
    assert np.isnan(found.distance) and np.isnan(found.lower_bound_95)
    assert reason in found.reason


def test_tissue_that_nobody_saw_gives_no_distance(rod):
    """Not the farther tissue that was seen either: what is in doubt may be in the way."""
    seen = tissue(np.array([[0, 0, 0.08]]))
    guessed = tissue(np.array([[0, 0, 0.07]]), CloudLabel.INFERRED)
    (found,) = clearances(an_update(rod, joined([seen, guessed])))
    assert not found.valid
    assert "inferred" in found.reason


@pytest.mark.parametrize("gap", [0.006, 0.02])
def test_tissue_nearer_than_a_tool_reaches_beyond_its_model_has_no_distance(rod, gap):
    """The mask shows an open jaw of 12 mm beside the rod."""
    labels = np.zeros((256, 320), np.uint8)
    labels[108:208, 150:170] = 2
    fold = tissue(np.array([[0.0, 0.0, AXIS + RADIUS + gap]]))
    (found,) = clearances(an_update(rod, fold, labels=labels))
    if gap < 0.012:
        assert not found.valid and "mm beyond its model" in found.reason
    else:
        assert found.valid and found.lower_bound_95 < gap - 0.009


@pytest.mark.parametrize("sigma", [0.02, 0.05])
def test_the_bound_includes_the_doubt_about_scale(rod, sigma):
    """Row: the clearance bound left out the doubt about scale."""
    wall = tissue(np.array([[0.0, 0.0, 0.08]]))
    sure, unsure = (
        clearances(an_update(rod, wall, scale=ScaleEstimate(1.0, s, ScaleSource.STEREO, 9)))[0]
        for s in (0.0, sigma)
    )
    assert sure.distance == unsure.distance
    # tissue that is sigma nearer than believed is not beyond the bound in one of 20 cases
    nearer = sure.distance - 1.645 * sigma * 0.08
    assert unsure.lower_bound_95 < nearer and unsure.lower_bound_95 < sure.lower_bound_95
    assert unsure.lower_bound_95 == pytest.approx(
        max(0.0, 0.95 * sure.distance - 1.645 * np.hypot(0.01 * 0.08, sigma * 0.08)), abs=1e-6
    )


def test_a_scale_whose_doubt_is_unknown_gives_no_clearance(rod):
    wall = tissue(np.array([[0.0, 0.0, 0.08]]))
    scale = ScaleEstimate(1.0, float("nan"), ScaleSource.STEREO, 1)
    (answer,) = clearances(an_update(rod, wall, scale=scale))
    assert not answer.valid and "scale" in answer.reason


def shown() -> np.ndarray:
    """(H, W) uint8 labels of the rod of the model, as the picture shows it."""
    labels = np.zeros((256, 320), np.uint8)
    labels[108:148] = 2
    return labels


def with_metal_at(depth: float) -> dict:
    """A rod whose mask has a piece at another depth than the model, grey before red tissue."""
    labels, plane = shown(), np.full((256, 320), AXIS - RADIUS, np.float32)
    plane[120:136, 150:170] = depth
    image = np.full((256, 320, 3), (180, 80, 60), np.uint8)
    image[labels > 0] = 120
    seen = SimpleNamespace(scale=ScaleSource.STEREO, camera=CAMERA, depth=plane)
    return {"labels": labels, "depth": seen, "image": image}


def test_metal_that_depth_shows_beside_the_model_lowers_the_bound(rod):
    fold = tissue(np.array([[0.0, 0.0, 0.08]]))
    free, near = (
        clearances(an_update(rod, fold, **with_metal_at(z)))[0] for z in (AXIS - RADIUS, 0.077)
    )
    assert free.valid and free.lower_bound_95 > 0.012
    assert near.valid and near.lower_bound_95 < 0.003
    assert near.distance == free.distance  # a bound is no measurement


def test_red_pixels_of_a_mask_are_tissue_that_it_took_in(rod):
    changes = with_metal_at(0.077)
    changes["image"][120:136, 150:170] = (180, 80, 60)
    fold = tissue(np.array([[0.0, 0.0, 0.08]]))
    assert clearances(an_update(rod, fold, **changes))[0].lower_bound_95 > 0.012


@pytest.mark.parametrize("hidden", [False, True])
def test_a_working_end_that_is_hidden_gives_no_distance(rod, hidden):
    """The end of the rod is behind a second tool, or not."""
    end = np.linspace([-0.01, 0, 0], [0.0, 0, 0], 20)
    model = replace(rod, end=end)
    labels = shown()
    labels[108:148, 100:170] = 3 if hidden else 2
    fold = tissue(np.array([[0.0, 0.0, 0.08]]))
    (found,) = clearances(an_update(model, fold, labels=labels))
    assert found.valid != hidden
    assert not hidden or "working end is hidden" in found.reason


def test_what_another_kind_of_instrument_would_reach_lowers_the_bound(rod):
    fold = tissue(np.array([[0.0, 0.0, 0.08]]))
    model = replace(rod, possible=np.array([[0.0, 0.0, 0.012]]))
    sure, unsure = (clearances(an_update(m, fold))[0] for m in (rod, model))
    assert sure.distance == unsure.distance
    assert unsure.lower_bound_95 == pytest.approx(0.008, abs=1e-6)
    assert sure.lower_bound_95 > 0.012


def test_what_turns_is_known_less_well_far_from_where_it_is_held(rod):
    """Doubt about the direction counts at the end of a lever."""
    doubts = np.zeros((6, 6))
    doubts[:3, :3] = 0.05**2 * np.eye(3)
    bounds = []
    for along in (0.0, 0.035):
        update = an_update(rod, tissue(np.array([[along, 0.0, 0.08]])))
        placement = replace(update.tools.tools[0].placement, covariance=doubts)
        tool = replace(update.tools.tools[0], placement=placement)
        update.tools.tools = (tool,)
        (found,) = clearances(update)
        bounds.append(found.distance - found.lower_bound_95)
    assert bounds[1] > 1.3 * bounds[0]
