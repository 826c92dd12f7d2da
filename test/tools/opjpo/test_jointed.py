"""Pose and joints of jointed models from masks and depth, against known ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.articulated.family import FAMILY
from endosfm3d_ros.tools.articulated.model import jointed_model
from endosfm3d_ros.tools.models.jointed import ArticulatedSource
from endosfm3d_ros.tools.opjpo.jointed import JointedConfig, JointedRefiner
from endosfm3d_ros.tools.opjpo.jointed_aligner import JointedAligner
from endosfm3d_ros.tools.opjpo.prepared import JointedPose, Prepared, chained
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.types import ToolObservation, ToolPlacement

CAMERA = PinholeCamera(320, 256, 277.0, 277.0, 160.0, 128.0)
KINDS = {kind.name: kind for kind in FAMILY}
# the shaft enters from the left, the jaws open in the picture
STANDING = Rotation.from_euler("ZYX", [0.3, 1.15, 0.2]) * Rotation.from_euler("Z", 1.4)
TRUTH = JointedPose(
    STANDING.as_matrix(), np.array([-0.012, 0.0, 0.062]), np.array([0.3, 0.45, -0.15])
)


def prepared(name: str = "fenestrated grasper") -> Prepared:
    return Prepared(jointed_model(KINDS[name], KINDS[name].diameter * 1e-3))


def seen(model: Prepared, pose: JointedPose, depth: bool = True) -> ToolObservation:
    """Mask, and depth by the nearest point in each pixel, as a camera would see them."""
    points = model.vertices(pose)
    mask = silhouette(points, model.mesh.faces, CAMERA)
    if not depth:
        return ToolObservation(mask, CAMERA)
    surface = model.model.at(pose.joints).surface.points @ pose.R.T + pose.position
    surface = surface[surface[:, 2] > 0.01]
    column, row = np.rint(CAMERA.project(surface)).astype(int).T
    inside = (column >= 0) & (column < 320) & (row >= 0) & (row < 256)
    plane = np.full((256, 320), np.inf)
    np.minimum.at(plane, (row[inside], column[inside]), surface[inside, 2])
    plane = cv2.erode(plane, np.ones((3, 3)))  # between the points
    plane[(plane > 1) | ~mask] = np.nan
    return ToolObservation(mask, CAMERA, tool_depth=plane.astype(np.float32))


def tip_of(model: Prepared, pose) -> np.ndarray:
    return pose.R @ model.model.tip_at(pose.joints) + pose.position


@pytest.mark.parametrize("joint", range(9))
def test_what_the_fit_believes_of_a_step_is_what_happens(joint):
    """Rows of the equations against finite differences."""
    model, step = prepared(), np.zeros(9)
    step[joint] = 1e-5
    links = np.repeat(np.arange(4), 20)
    rows = np.concatenate([np.flatnonzero(model.model.owners == k)[:20] for k in range(4)])
    before, after = (_double(model, pose)[rows] for pose in (TRUTH, TRUTH.moved(step)))
    forces = np.random.default_rng(0).normal(size=(len(rows), 3))
    change = ((after - before) / 1e-5 * forces).sum(axis=1)
    believed = chained(forces, before, links, TRUTH, model)[:, joint]
    np.testing.assert_allclose(believed, change, rtol=1e-3, atol=1e-6)


def _double(model: Prepared, pose: JointedPose) -> np.ndarray:
    """(V, 3) float64 vertices."""
    turns, moves = model.model.linkage.links(pose.joints)
    local = model.model.vertices.astype(float)
    own = model.model.owners
    return (np.einsum("nij,nj->ni", turns[own], local) + moves[own]) @ pose.R.T + pose.position


def test_joints_are_found_from_a_start_beside_them():
    model = prepared()
    observation = seen(model, TRUTH)
    start = JointedPose(
        Rotation.from_rotvec([0.04, -0.05, 0.03]).as_matrix() @ TRUTH.R,
        TRUTH.position + np.array([0.001, -0.001, 0.003]),
        TRUTH.joints + np.array([-0.15, 0.15, -0.15]),
    )
    config = JointedConfig(iterations=12, rotation=0.3, translation=0.3, joint=0.5)
    fit = JointedRefiner(model, observation, 256, config).run(start)
    assert fit.iou > 0.97
    assert np.linalg.norm(tip_of(model, fit.pose) - tip_of(model, TRUTH)) < 0.0008
    assert np.degrees(np.abs(fit.pose.joints - TRUTH.joints)[1:]).max() < 6


def test_a_jaw_that_opens_is_followed():
    """From image to image by 2 degrees, without depth."""
    model = prepared("needle driver")
    aligner = JointedAligner(model.model)
    placement = _placed(TRUTH)
    for i in range(8):
        joints = TRUTH.joints + np.array([0.0, 0.035 * i, 0.0])
        truth = JointedPose(TRUTH.R, TRUTH.position, joints)
        placement = aligner.place(seen(model, truth, depth=False), placement)
    assert placement.trusted and placement.iou > 0.93
    opened = placement.joints[1] - placement.joints[2]
    assert np.degrees(abs(opened - (joints[1] - joints[2]))) < 6


def _placed(pose: JointedPose) -> ToolPlacement:
    return ToolPlacement(pose.R, pose.position, 1.0, 0.9, np.eye(6), 0.01, True, joints=pose.joints)


def test_jaws_do_not_pass_each_other_and_joints_keep_their_limits():
    linkage = prepared().model.linkage
    bounded = linkage.within(np.array([3.0, -0.5, 0.5]))
    assert bounded[0] == linkage.upper[0]
    assert bounded[1] >= bounded[2] - 0.05
    hook = prepared("hook").model.linkage
    assert hook.within(np.array([0.1, 0.2, 0.7]))[2] == 0.0  # it has one jaw only


def test_a_part_that_is_not_seen_is_known_less_well():
    """Half a second jaw out of the picture: its angle keeps the doubt that it had before."""
    model = prepared()
    aligner = JointedAligner(model.model)
    whole = aligner.place(seen(model, TRUTH), _placed(TRUTH))
    away = JointedPose(TRUTH.R, TRUTH.position + np.array([0.032, 0, 0]), TRUTH.joints)
    cut = aligner.place(seen(model, away), _placed(away))
    doubts = [np.diag(p.full_covariance)[7:].max() for p in (whole, cut)]
    assert doubts[1] > 1.5 * doubts[0]


def test_the_model_of_a_moment_has_its_surface_where_its_jaws_are():
    model = prepared().model
    posed = model.at(np.array([0.0, 0.6, -0.6]))
    jaw = posed.surface.points[model.surface_links == 2]
    vertices = posed.vertices[model.owners == 2]
    assert np.abs(jaw.mean(axis=0) - vertices.mean(axis=0)).max() < 0.003
    assert jaw[:, 0].max() > 0.008 and len(posed.surface.points) == len(model.surface.points)


@pytest.mark.parametrize("name", ["needle driver", "spatula"])
def test_the_kind_is_chosen_by_its_fit(name):
    model = prepared(name)
    observation = seen(model, TRUTH)
    chosen = ArticulatedSource().model(observation)
    placement = JointedAligner(chosen).place(observation)
    solid = silhouette(placement.points(chosen.at(placement.joints).vertices), chosen.faces, CAMERA)
    assert overlap(solid, observation.mask) > 0.93
    tip = placement.R @ chosen.tip_at(placement.joints) + placement.t
    assert np.linalg.norm(tip - tip_of(model, TRUTH)) < 0.002


def test_an_unusable_mask_gives_a_placement_that_says_so():
    aligner = JointedAligner(prepared().model)
    placement = aligner.place(ToolObservation(np.zeros((256, 320), bool), CAMERA))
    assert not placement.valid and "mask of 0 pixels" in placement.reason


def test_without_depth_or_where_no_kind_fits_the_model_is_a_capsule():
    source, observation = ArticulatedSource(), seen(prepared(), TRUTH, depth=False)
    assert source.model(observation).source == "capsule"
    blob = np.zeros((256, 320), np.uint8)
    cv2.circle(blob, (150, 20), 60, 1, -1)
    flat = np.where(blob > 0, 0.06, np.nan).astype(np.float32)
    assert source.model(ToolObservation(blob > 0, CAMERA, tool_depth=flat)).source == "capsule"


def test_a_model_gives_way_only_to_one_that_fits_clearly_better():
    source, right, wrong = ArticulatedSource(), prepared("needle driver"), prepared("hook")
    observation = seen(right, TRUTH)
    assert source.better(observation, right.model, _placed(TRUTH)) is None
    assert source.better(observation, wrong.model, _placed(TRUTH)).kind == "needle driver"
