"""The published alignment: its scale in closed form, its search by construction."""

import cv2
import numpy as np
import pytest

from endosfm3d_ros.bench.generated_tool import generated_model, observed, placed
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.opjpo import make_aligner
from endosfm3d_ros.tools.opjpo.paper import (
    PaperConfig,
    exhaustive_search,
    hull_size,
    orthographic_matrix,
    orthographic_scale,
    splat_iou,
    tissue_points,
)
from endosfm3d_ros.tools.types import ToolModel

CAMERA = PinholeCamera(80, 64, 70.0, 70.0, 40.0, 32.0)


def test_the_tissue_box_becomes_the_unit_cube():
    rng = np.random.default_rng(0)
    points = rng.uniform((-3, 1, 50), (2, 4, 70), (100, 3))
    M = orthographic_matrix(points)
    mapped = points @ M[:3, :3].T + M[:3, 3]
    np.testing.assert_allclose(mapped[:, :2].min(axis=0), -1)
    np.testing.assert_allclose(mapped[:, :2].max(axis=0), 1)
    assert M[2, 2] < 0  # the published matrix looks along -z


def test_a_shrunk_copy_is_scaled_back_with_areas_and_not_with_perimeters():
    rng = np.random.default_rng(1)
    tissue = rng.uniform((-3, 1, 50), (2, 4, 70), (200, 3))
    tool = tissue / [9, 9, 1]
    scale = orthographic_scale(tool, tissue, PaperConfig())
    assert scale.s0 == pytest.approx(9)
    assert scale.s1 == pytest.approx(9)
    released = orthographic_scale(tool, tissue, PaperConfig(released_hull_perimeter=True))
    assert released.s0 == pytest.approx(9)
    assert released.s1 == pytest.approx(3)  # the root of a ratio of lengths


def test_hulls_of_a_square():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2], [1, 1.0]])
    assert hull_size(square, perimeter=False) == pytest.approx(4)
    assert hull_size(square, perimeter=True) == pytest.approx(8)


def test_points_without_area_are_refused():
    line = np.column_stack([np.arange(5.0), np.zeros(5), np.ones(5)])
    with pytest.raises(InputError, match="a line, no area"):
        orthographic_matrix(line)
    with pytest.raises(InputError, match="no hull area"):
        hull_size(line[:, [0, 0]], perimeter=False)
    mask, depth = np.ones((64, 80), bool), np.full((64, 80), np.nan)
    depth[0, :2] = 0.05
    with pytest.raises(InputError, match="2 mask pixels with tissue depth"):
        tissue_points(mask, depth, CAMERA)


def test_tissue_points_are_those_of_the_mask():
    mask, depth = np.zeros((64, 80), bool), np.full((64, 80), 0.05)
    mask[32, 40:44] = True
    points = tissue_points(mask, depth, CAMERA)
    np.testing.assert_allclose(points[0], [0, 0, 0.05], atol=1e-12)
    np.testing.assert_allclose(points[3], [3 / 70 * 0.05, 0, 0.05])


def test_the_search_finds_the_translation_that_made_the_mask():
    rng = np.random.default_rng(2)
    cloud = rng.uniform((-0.01, -0.006, 0.05), (0.01, 0.006, 0.055), (4000, 3))
    config = PaperConfig(grid=(5, 5, 6))
    half = np.ptp(cloud, axis=0)[:2] / 2
    moved = cloud + np.array([half[0] / 2, -half[1] / 2, 0.003])  # grid nodes 3, 1, 2
    pixels = np.floor(CAMERA.project(moved)).astype(int)
    mask = np.zeros((64, 80), np.uint8)
    mask[pixels[:, 1], pixels[:, 0]] = 1
    mask = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(bool)
    found = exhaustive_search(cloud, mask, CAMERA, config)
    assert found.index == (3, 1, 2)
    np.testing.assert_allclose(found.half_range_xy, half)
    assert found.iou == 1 > found.initial_iou


def test_points_behind_the_camera_leave_no_mark():
    mask = np.zeros((64, 80), bool)
    assert splat_iou(np.array([[0, 0, -1.0], [0, 0, 0.0]]), mask, CAMERA, 3) == 0
    mask[31:34, 39:42] = True
    assert splat_iou(np.array([[0, 0, 1.0]]), mask, CAMERA, 3) == 1


def test_both_comparisons_answer_as_aligners():
    model = generated_model(rings=40, sides=12)
    observation = observed(model, placed(model, (0, 0, 0), (0.003, 0.002, 0.062)))
    overlaps = {}
    for mode in ("none", "paper", "joint"):
        placement = make_aligner(mode, model).place(observation)
        assert placement.valid
        overlaps[mode] = placement.iou
    assert overlaps["joint"] > overlaps["paper"]
    assert overlaps["joint"] > overlaps["none"]
    without_view = ToolModel(model.vertices, model.faces, model.colors, "mesh", True)
    with pytest.raises(ConfigurationError, match="no view of its own"):
        make_aligner("none", without_view)
    with pytest.raises(ConfigurationError, match="joint, paper, none"):
        make_aligner("exact", model)
