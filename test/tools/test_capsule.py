"""Capsules measured on masks of shafts that are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.models.capsule import CapsuleSource, pose_along, revolved
from endosfm3d_ros.tools.opjpo import make_aligner
from endosfm3d_ros.tools.shapes.capsule_fit import CapsuleConfig
from endosfm3d_ros.tools.shapes.edges import MeshEdges
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.types import ToolObservation

CAMERA = PinholeCamera(320, 256, 285.0, 285.0, 159.5, 127.5)


def shaft(tip, towards, diameter=0.008):
    """Observation of a blunt shaft from a tip to far outside the image, with its depth."""
    x = np.linspace(0, 0.09, 60)
    vertices, faces = revolved(x, np.minimum(0.5, 0.3 + 40 * x) * diameter)
    T = pose_along(np.array(tip), np.array(towards))
    mask = silhouette(vertices @ T[:3, :3].T + T[:3, 3], faces, CAMERA)
    axis = np.linspace(0, 0.09, 600)[:, None] * T[:3, 0] + T[:3, 3]
    rows, columns = np.nonzero(mask)
    _, nearest = cKDTree(CAMERA.project(axis)).query(np.column_stack([columns, rows]))
    depth = np.full(mask.shape, np.nan, np.float32)
    depth[mask] = axis[nearest, 2] - diameter / 2
    return ToolObservation(mask, CAMERA, tool_depth=depth)


def without_depth(observation):
    return replace(observation, tool_depth=None)


LEVEL = shaft((0.0, 0.0, 0.06), (0.08, 0.03, 0.06))
RISING = shaft((-0.005, 0.0, 0.07), (0.05, 0.02, 0.035))


@pytest.mark.parametrize(
    "observation", [LEVEL, RISING, without_depth(LEVEL), without_depth(RISING)]
)
def test_it_is_closed_and_covers_the_mask_it_was_made_of(observation):
    model = CapsuleSource().model(observation)
    assert MeshEdges.of(model.faces).closed
    placed = model.vertices @ model.birth[:3, :3].T + model.birth[:3, 3]
    iou = overlap(silhouette(placed, model.faces, CAMERA), observation.mask)
    assert iou > 0.85
    refined = make_aligner("joint", model).place(observation)
    assert refined.iou > 0.93
    assert refined.scale == pytest.approx(1, abs=0.02)


def test_the_shaft_has_the_known_diameter_and_its_direction_is_seen():
    model = CapsuleSource().model(without_depth(RISING))
    widths = np.linalg.norm(model.vertices[:, 1:], axis=1)
    assert widths.max() == pytest.approx(0.004, rel=0.02)
    axis = model.birth[:3, 0]
    true = np.array([0.055, 0.02, -0.035]) / np.linalg.norm([0.055, 0.02, -0.035])
    assert np.degrees(np.arccos(axis @ true)) < 12
    assert model.birth[2, 3] == pytest.approx(0.07, rel=0.1)  # distance of the tip
    level = CapsuleSource().model(without_depth(LEVEL))
    assert abs(level.birth[2, 0]) < 0.15


def test_depth_measured_on_the_shaft_says_where_it_is():
    model = CapsuleSource().model(RISING)
    true = np.array([0.055, 0.02, -0.035]) / np.linalg.norm([0.055, 0.02, -0.035])
    assert np.degrees(np.arccos(model.birth[:3, 0] @ true)) < 5
    np.testing.assert_allclose(model.birth[:3, 3], (-0.005, 0.0, 0.07), atol=0.002)


def test_depth_places_a_capsule_whose_outline_is_not_the_tools():
    """Jaws that open make the mask grow towards the tip, as if the tool came nearer there."""
    rows, columns = np.mgrid[0:256, 0:320]
    along = (columns - 120) / 200  # from the tip to the border of the image
    mask = (along > 0) & (np.abs(rows - 128) < 12 + 30 * np.clip(0.6 - along, 0, 1))
    depth = np.where(mask, 0.06, np.nan).astype(np.float32)
    seen = ToolObservation(mask, CAMERA, tool_depth=depth)
    model = CapsuleSource().model(seen)
    aligner = make_aligner("joint", model)
    found = aligner.place(seen)
    for _ in range(10):
        found = aligner.place(seen, found)
    axis = found.points(np.array([[0.0, 0.0, 0.0], [0.03, 0.0, 0.0]]))
    np.testing.assert_allclose(axis[:, 2], 0.064, atol=0.003)
    blind = make_aligner("joint", CapsuleSource().model(without_depth(seen)))
    assert abs(blind.place(without_depth(seen)).t[2] - 0.064) > 0.01


def test_a_pose_that_depth_contradicts_is_not_trusted():
    aligner = make_aligner("joint", CapsuleSource().model(without_depth(LEVEL)))
    assert aligner.place(LEVEL).trusted
    near = replace(LEVEL, tool_depth=LEVEL.tool_depth / 2)
    exact = replace(aligner.model, approximate=False)  # its outline is believed
    found = make_aligner("joint", exact).place(near)
    assert not found.trusted and "behind the depth measured on it" in found.reason


def test_the_diameter_can_come_from_depth():
    thin = shaft((0.0, 0.0, 0.06), (0.08, 0.03, 0.06), diameter=0.005)
    config = CapsuleConfig(diameter_from_depth=True)
    widths = np.linalg.norm(CapsuleSource(config).model(thin).vertices[:, 1:], axis=1)
    assert 2 * widths.max() == pytest.approx(0.005, rel=0.08)
    unknown = replace(thin, tool_depth=np.full(thin.mask.shape, np.nan, np.float32))
    widths = np.linalg.norm(CapsuleSource(config).model(unknown).vertices[:, 1:], axis=1)
    assert 2 * widths.max() == pytest.approx(0.008, rel=0.02)


@pytest.mark.parametrize("filled", [False, True])
def test_masks_without_a_shaft_are_refused(filled):
    with pytest.raises(InputError, match="is measured on at least 64"):
        CapsuleSource().model(ToolObservation(np.full((256, 320), filled), CAMERA))


@pytest.mark.parametrize("side", [8, 9, 40])
def test_small_and_square_masks_still_give_a_closed_model(side):
    mask = np.zeros((256, 320), bool)
    mask[100 : 100 + side, 100 : 100 + side] = True
    model = CapsuleSource().model(ToolObservation(mask, CAMERA))
    assert MeshEdges.of(model.faces).closed
    assert np.isfinite(model.birth).all()


def test_the_colour_is_that_of_the_tool():
    image = np.zeros((256, 320, 3), np.uint8)
    image[LEVEL.mask] = (200, 100, 50)
    model = CapsuleSource().model(replace(LEVEL, image=image))
    np.testing.assert_allclose(model.colors[0], (200, 100, 50), atol=1)
