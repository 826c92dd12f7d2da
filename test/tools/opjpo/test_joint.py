"""The default alignment on an instrument made by rule, where everything is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endosfm3d_ros.bench.generated_tool import (
    CAMERA,
    SCALE,
    generated_model,
    motion,
    observed,
    placed,
)
from endosfm3d_ros.tools.opjpo import make_aligner
from endosfm3d_ros.tools.opjpo.joint import JointAligner, distinct
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.refine import RefineConfig, Refined, Refiner
from endosfm3d_ros.tools.opjpo.target import MaskTarget
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.types import ToolModel, ToolPlacement

MODEL = generated_model(rings=60, sides=16)
ALIGNER = JointAligner(MODEL)
CENTRE = (0.003, 0.002, 0.062)


def scene(rotation=(0.0, 0.0, 0.0), position=CENTRE):
    true = placed(MODEL, rotation, position)
    return true, observed(MODEL, true)


def ratio_error(found: ToolPlacement, true: ToolPlacement) -> float:
    """Only position over scale can be seen in a mask."""
    wanted = true.t / true.scale
    return float(np.linalg.norm(found.t / found.scale - wanted) / np.linalg.norm(wanted))


def solid_iou(found, observation):
    shape = silhouette(found.points(MODEL.vertices), MODEL.faces, observation.camera)
    return overlap(shape, observation.mask)


@pytest.mark.parametrize(
    "rotation",
    [(0, 0, 0), (0, 0, 0.3), (0.15, -0.1, -0.2), (-0.2, 0.2, 0.1), (0.1, 0.28, 0.0)],
)
def test_a_first_placement_covers_the_mask_at_the_right_ratio(rotation):
    true, observation = scene(rotation)
    found = ALIGNER.place(observation)
    assert solid_iou(found, observation) > 0.98
    assert ratio_error(found, true) < 0.01
    assert found.trusted, found.reason


def test_the_scale_keeps_the_tool_just_before_the_tissue():
    true, observation = scene()
    flat = np.full(observation.mask.shape, 0.08, np.float32)
    observation = replace(observation, tissue_depth=flat)
    found = ALIGNER.place(observation)
    assert 0.9 * 0.08 < found.points(MODEL.vertices)[:, 2].max() < 1.01 * 0.08
    assert found.scale > true.scale  # it may well be nearer than that
    nearer = replace(observation, tissue_depth=0.5 * observation.tissue_depth)
    assert ALIGNER.place(nearer).scale == pytest.approx(found.scale / 2, rel=0.02)


def test_depth_measured_on_the_tool_gives_its_scale():
    true, observation = scene()
    front = np.full(observation.mask.shape, np.nan, np.float32)
    points = true.points(MODEL.vertices)
    pixels = np.rint(CAMERA.project(points)).astype(int)
    for (column, row), z in sorted(zip(map(tuple, pixels), points[:, 2]), key=lambda p: -p[1]):
        front[row, column] = z
    found = ALIGNER.place(replace(observation, tool_depth=front))
    assert found.scale == pytest.approx(SCALE, rel=0.03)
    np.testing.assert_allclose(found.t, true.t, atol=0.002)
    assert found.scale_deviation < 0.06


def test_a_moving_tool_is_tracked():
    previous = None
    for pose in motion(12):
        true = placed(MODEL, *pose)
        observation = observed(MODEL, true)
        previous = ALIGNER.place(observation, previous)
        assert previous.trusted, previous.reason
        assert solid_iou(previous, observation) > 0.93
        assert ratio_error(previous, true) < 0.03


def test_a_jump_is_searched_anew():
    before, _ = scene()
    after, observation = scene((0, 0, 0.5), (-0.012, -0.008, 0.07))
    found = ALIGNER.place(observation, before)
    assert solid_iou(found, observation) > 0.95
    assert ratio_error(found, after) < 0.02


def test_a_model_that_never_fitted_is_not_searched_in_every_frame(monkeypatch):
    _, observation = scene()
    ring = np.zeros_like(observation.mask)
    ring[150:350, 200:400] = True
    ring[170:330, 220:380] = False
    observation = replace(observation, mask=ring)
    first = ALIGNER.place(observation)
    monkeypatch.setattr(JointAligner, "found", None)
    second = ALIGNER.place(observation, first)
    assert second.valid and not second.trusted


def test_a_model_from_a_file_is_found_in_any_orientation():
    metric = ToolModel(MODEL.vertices * SCALE, MODEL.faces, MODEL.colors, "mesh", True)
    turn = Rotation.from_rotvec((0.3, 0.2, 2.5)).as_matrix()
    placement = ToolPlacement(turn, np.array(CENTRE), 1.0, 1, np.zeros((6, 6)), 0, True)
    observation = observed(metric, placement)
    found = make_aligner("joint", metric).place(observation)
    assert found.iou > 0.9
    assert found.scale == pytest.approx(1, abs=0.02)
    assert found.t[2] == pytest.approx(CENTRE[2], rel=0.1)


def test_what_another_tool_hides_does_not_pull():
    true, observation = scene()
    hidden = np.zeros_like(observation.mask)
    columns = np.nonzero(observation.mask.any(axis=0))[0]
    middle = int(columns.mean()) + 25
    hidden[:, middle : middle + 40] = True
    partly = replace(observation, mask=observation.mask & ~hidden, occluder=hidden)
    found = ALIGNER.place(partly)
    assert ratio_error(found, true) < 0.02
    assert found.iou > 0.95


def test_a_mask_with_a_bite_is_not_followed_into_it():
    true, observation = scene()
    mask = observation.mask.copy()
    rows, columns = np.nonzero(mask)
    mask[rows.min() : rows.min() + 30, int(columns.mean()) : int(columns.mean()) + 15] = False
    assert ratio_error(ALIGNER.place(replace(observation, mask=mask)), true) < 0.02


def test_unusable_input_is_answered_not_raised():
    _, observation = scene()
    empty, full = np.zeros_like(observation.mask), np.ones_like(observation.mask)
    unknown = np.full(observation.mask.shape, np.nan, np.float32)
    for changed, sentence in (
        ({"mask": empty}, "mask of 0 pixels"),
        ({"mask": full}, "mask covers 100% of the image"),
        ({"tissue_depth": unknown}, "scale is unknown"),
        ({"tissue_depth": None}, "scale is unknown"),
    ):
        for mode in ("joint", "paper", "none"):
            found = make_aligner(mode, MODEL).place(replace(observation, **changed))
            assert not found.trusted and not found.valid
            assert sentence in found.reason or mode != "joint"
    tracked = ALIGNER.place(replace(observation, tissue_depth=unknown), scene()[0])
    assert tracked.valid and tracked.scale == pytest.approx(SCALE)  # as it was


def test_twins_do_not_crowd_out_the_next_best():
    turns = [Rotation.from_euler("z", roll).as_matrix() for roll in (0.0, 0.02, 0.5, 0.45, 1.0)]
    refined = [Refined(UnitPose(R, np.array([0, 0, 1.0])), 0.9, np.eye(6)) for R in turns]
    chosen = distinct(refined, 2, 0.1)
    assert [pose.R is R for pose, R in zip(chosen, (turns[0], turns[2]))] == [True, True]


def test_open_meshes_are_placed_and_so_is_what_the_image_border_cuts():
    true, observation = scene()
    half = ToolModel(MODEL.vertices, MODEL.faces[::2], MODEL.colors, "mesh", False, np.eye(4))
    for model in (half, MODEL):
        found = JointAligner(model).place(observation)
        assert found.valid and np.isfinite(found.covariance).all()
    columns = np.nonzero(observation.mask)[1]
    cut = int(np.median(columns))  # the image ends in the middle of the tool
    camera = replace(observation.camera, width=cut)
    inside = replace(
        observation,
        camera=camera,
        mask=observation.mask[:, :cut].copy(),
        tissue_depth=observation.tissue_depth[:, :cut].copy(),
    )
    found = ALIGNER.place(inside, true)
    assert found.valid and found.iou > 0.9 and ratio_error(found, true) < 0.1


def test_doubts_are_said():
    _, observation = scene()
    ring = np.zeros_like(observation.mask)
    ring[150:350, 200:400] = True
    ring[170:330, 220:380] = False
    assert "overlap" in ALIGNER.place(replace(observation, mask=ring)).reason
    sliver = np.zeros_like(observation.mask)
    sliver[:20, 100:300] = True
    found = ALIGNER.place(replace(observation, mask=sliver), scene()[0])
    assert not found.trusted
    end_on = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0.0]])
    placement = ToolPlacement(end_on, np.array(CENTRE), SCALE, 1, np.zeros((6, 6)), 0.05, True)
    found = ALIGNER.place(observed(MODEL, placement), placement)
    assert not found.trusted and "end on" in found.reason


def test_a_metric_tool_behind_the_tissue_is_doubted():
    metric = ToolModel(MODEL.vertices * SCALE, MODEL.faces, MODEL.colors, "mesh", True, np.eye(4))
    placement = ToolPlacement(np.eye(3), np.array(CENTRE), 1.0, 1, np.zeros((6, 6)), 0.01, True)
    observation = observed(metric, placement)
    aligner = JointAligner(metric)
    assert aligner.place(observation, placement).trusted
    nearer = replace(observation, tissue_depth=observation.tissue_depth / 2)
    found = aligner.place(nearer, placement)
    assert "behind the tissue" in found.reason
    assert found.scale == pytest.approx(1, abs=0.05)  # its size is known


def test_the_covariance_says_that_distance_is_worst_known():
    found = ALIGNER.place(scene()[1])
    assert np.linalg.eigvalsh(found.covariance).min() > 0
    x, y, z = np.sqrt(np.diag(found.covariance)[3:])
    assert z > 3 * max(x, y)


def test_rows_are_the_derivatives_of_what_is_seen():
    _, observation = scene((0.1, 0.2, 0.1))
    target = MaskTarget.of(observation, 160)
    refiner = Refiner(ALIGNER.mesh, CAMERA, target, RefineConfig())
    pose = UnitPose(np.eye(3), np.array([0.1, 0.05, 2.1]))
    points = pose.points(ALIGNER.mesh.vertices)[:20].astype(float)
    normals = np.tile([0.6, 0.8], (20, 1))
    rows = refiner.rows(points, normals, pose)
    for i in range(6):
        step = np.zeros(6)
        step[i] = 1e-5
        moved = pose.moved(step)
        there = (points - pose.position) @ (moved.R @ pose.R.T).T + moved.position
        seen = (CAMERA.project(there) - CAMERA.project(points)) / target.window.step
        np.testing.assert_allclose(rows[:, i], (seen * normals).sum(axis=1) / 1e-5, rtol=1e-3)
    np.testing.assert_allclose(pose.moved(step).step_from(pose), step, atol=1e-9)
