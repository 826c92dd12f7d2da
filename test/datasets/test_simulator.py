"""The simulator's references are exact: what they predict is what the pictures show."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from endosfm3d_ros.datasets.simulation.camera.rig import BASELINE
from endosfm3d_ros.datasets.simulation.scenes import SCENES
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry import se3

SIZE = {"width": 240, "height": 192}


@pytest.fixture(scope="module")
def clip():
    """Makes a clip of 61 frames at 15 Hz once per scene."""
    made = {}

    def get(scene):
        if scene not in made:
            made[scene] = SimulatedSequence(scene, frames=61, **SIZE)
        return made[scene]

    return get


def test_the_same_arguments_give_the_same_pixels():
    first, second = (SimulatedSequence("breathing", frames=3, seed=4, **SIZE)[2] for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.right_image, second.right_image)
    other = SimulatedSequence("breathing", frames=3, seed=5, **SIZE)[2]
    assert np.abs(other.image.astype(int) - first.image).mean() > 5


def test_noise_is_new_in_each_frame_and_eye(clip):
    still = clip("plane")
    np.testing.assert_array_equal(still[0].image, still[1].image)  # no motion, no noise
    noisy = clip("static")
    assert 0.5 < np.abs(noisy[0].image.astype(int) - noisy[1].image).mean() < 4
    np.testing.assert_array_equal(noisy.reference_depth(0), noisy.reference_depth(50))


def test_the_plane_is_at_50_mm(clip):
    np.testing.assert_allclose(clip("plane").reference_depth(0), 0.050, rtol=0, atol=2e-8)


def test_the_raw_eye_of_the_rotated_scene_is_turned_by_two_degrees(clip):
    pair = clip("rotated").stereo
    angle = np.degrees(se3.rotation_angle(se3.from_rotation(pair.R_left)))
    assert angle == pytest.approx(2.0, abs=1e-9)
    assert np.degrees(se3.rotation_angle(se3.from_rotation(pair.R_right))) == pytest.approx(1.2)
    assert pair.left.fx != pair.P_left[0, 0] and pair.baseline == pytest.approx(BASELINE)


@pytest.mark.parametrize("scene", ["plane", "moving", "rotated", "zoom", "withdrawing"])
def test_flow_depth_pose_and_intrinsics_agree(clip, scene):
    """Still tissue: depth of one frame, moved by the poses into the other, is the flow."""
    sequence = clip(scene)
    points = sequence.reference_camera(0).rays() * sequence.reference_depth(0)[..., None]
    motion = se3.inverse(sequence.reference_pose(40)) @ sequence.reference_pose(0)
    moved = se3.transform(motion, points.reshape(-1, 3).astype(float))
    found = sequence.reference_camera(40).project(moved).reshape((*points.shape[:2], 2))
    flow = sequence.reference_flow(0, 40)
    assert np.abs(found - pixels(flow)).max() < 0.01
    assert flow.visible.mean() > 0.4


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_flow_there_and_back_meets_itself(clip, scene):
    """The later frame's own flow leads back to the pixel: depth is exact in both."""
    sequence = clip(scene)
    there, back = sequence.reference_flow(0, 30), sequence.reference_flow(30, 0)
    target = pixels(there)
    sampled = [
        map_coordinates(plane.astype(float), [target[..., 1], target[..., 0]], order=1)
        for plane in back.flow.transpose(2, 0, 1)
    ]
    miss = np.linalg.norm(np.stack(sampled, -1) + there.flow, axis=-1)[there.visible]
    assert np.quantile(miss, 0.9) < 0.05  # the rest are rims, where flow jumps between pixels


@pytest.mark.parametrize("scene", ["moving", "rotated"])
def test_pictures_agree_with_depth(scene):
    """The right picture, fetched through left depth, is the left picture but for the highlights."""
    sequence = SimulatedSequence(scene, frames=1, width=480, height=384)
    frame, pair = sequence[0], sequence.stereo
    points = pair.left.rays() * sequence.reference_depth(0)[..., None]
    points = points.reshape(-1, 3) @ pair.R_left.T - [pair.baseline, 0, 0]
    seen = pair.right.project(points @ pair.R_right)
    errors = []
    for shift in (-0.5, 0.0, 0.5):
        maps = (seen + np.array([shift, 0])).reshape(384, 480, 2).astype(np.float32)
        fetched = cv2.remap(frame.right_image, maps, None, cv2.INTER_CUBIC)
        difference = np.minimum(np.abs(fetched.astype(float) - frame.image), 20)
        errors.append(difference[60:-60, 60:-60].mean())
    assert errors[1] < 5 and errors[1] < 0.85 * min(errors[0], errors[2])


def test_normals_belong_to_the_depth(clip):
    for scene, frame in (("static", 0), ("breathing", 30), ("instruments", 30)):
        sequence = clip(scene)
        points = sequence.camera.rays() * sequence.reference_depth(frame)[..., None]
        across, down = np.gradient(points, axis=1), np.gradient(points, axis=0)
        normal = np.cross(down, across)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        cosine = (normal * sequence.reference_normals(frame)).sum(-1)
        assert np.degrees(np.arccos(np.clip(np.quantile(cosine, 0.3), -1, 1))) < 6


def test_the_lens_zooms_in_the_middle(clip):
    zoom = clip("zoom")
    focal = [zoom.reference_camera(i).fx for i in (0, 25, 36, 60)]
    assert focal[0] == focal[1] == zoom.camera.fx
    np.testing.assert_allclose(focal[2:], 1.3 * zoom.camera.fx)
    assert zoom.stereo is None and zoom[0].right_image is None


def test_breathing_moves_the_tissue_and_moving_does_not(clip):
    for scene, low, high in (("breathing", 0.002, 0.006), ("moving", 0, 1e-9)):
        stage = clip(scene)._stage
        rest, crest = (stage.deformation(time).reach.item() for time in (0.0, 2.0))
        assert rest < 1e-9 and low <= crest <= high


def test_pulled_tissue_follows_the_grasper(clip):
    pulling = clip("pulling")
    lift = pulling.tool_poses(45)[1][:3, 3] - pulling.tool_poses(0)[1][:3, 3]
    np.testing.assert_allclose(lift, pulling._scene.swells[0].vector, atol=1e-6)
    raised = pulling.tissue_depth(0) - pulling.tissue_depth(45)
    assert 0.005 < raised.max() < 0.015
    gap = [pulling.tool_clearances(i)[1] for i in (0, 45)]
    assert max(gap) < 0.002


def test_a_cut_opens_and_its_walls_are_new(clip):
    cutting = clip("cutting")
    deeper = cutting.tissue_depth(58) - cutting.tissue_depth(0)
    assert 0.003 < deeper.max() < 0.015
    np.testing.assert_array_equal(cutting.tissue_depth(0), cutting.tissue_depth(7))
    new = ~cutting.reference_flow(58, 0).visible & (deeper > 0.002)
    assert new[deeper > 0.002].mean() > 0.75  # the rest is tissue that moved aside


@pytest.mark.parametrize("scene", ["instruments", "surgery"])
def test_meshes_at_their_poses_are_what_is_seen(clip, scene):
    sequence = clip(scene)
    for i in (0, 30):
        labels, parts = sequence.instances(i), sequence.parts(i)
        np.testing.assert_array_equal(labels > 0, parts > 0)
        assert set(np.unique(labels)) == {0, 1, 2} and {1, 2, 3} <= set(np.unique(parts))
        depth = sequence.reference_depth(i)
        for tool, mesh in sequence.tool_meshes().items():
            seen = sequence.camera.rays() * depth[..., None]
            surface = se3.transform(sequence.tool_poses(i)[tool], mesh.vertices.astype(float))
            distance = cKDTree(surface).query(seen[labels == tool])[0]
            assert distance.max() < 0.0018  # half the diagonal of the mesh's facets


def test_clearance_is_the_distance_to_the_seen_and_hidden_tissue(clip):
    sequence = clip("instruments")
    tissue = (sequence.camera.rays() * sequence.tissue_depth(30)[..., None]).reshape(-1, 3)
    for tool, distance in sequence.tool_clearances(30).items():
        surface = se3.transform(
            sequence.tool_poses(30)[tool], sequence.tool_meshes()[tool].vertices.astype(float)
        )
        assert 0.002 < distance < 0.03
        assert distance == pytest.approx(cKDTree(tissue).query(surface)[0].min(), abs=3e-4)


def test_meshes_are_closed_and_face_outward(clip):
    for mesh in clip("instruments").tool_meshes().values():
        edges = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        keys = np.unique(mesh.vertices.round(7), axis=0, return_inverse=True)[1].ravel()[edges]
        there = np.unique(keys[keys[:, 0] != keys[:, 1]], axis=0, return_counts=True)
        back = np.unique(keys[keys[:, 0] != keys[:, 1]][:, ::-1], axis=0, return_counts=True)
        np.testing.assert_array_equal(there[0], back[0])
        np.testing.assert_array_equal(there[1], back[1])
        a, b, c = mesh.vertices[mesh.faces.T].astype(float)
        assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0


def test_wrong_arguments_are_one_sentence():
    with pytest.raises(ConfigurationError, match="'moon': accepted are breathing, static, moving"):
        SimulatedSequence("moon")
    for wrong in ({"frames": 0}, {"width": 8}, {"fps": 0.0}):
        with pytest.raises(ConfigurationError, match="at least one frame of 16x16"):
            SimulatedSequence(**{"frames": 1, **wrong})
    with pytest.raises(ConfigurationError, match="seed -1"):
        SimulatedSequence(seed=-1)


def pixels(flow):
    """(H, W, 2) where each pixel went."""
    height, width = flow.flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows], -1) + flow.flow


def test_the_surface_seen_so_far_is_where_the_depth_says_and_stays_when_hidden():
    sequence = SimulatedSequence("instruments", frames=6, width=320, height=256)
    hidden = []
    for i in range(6):
        surface = sequence.surface(i)
        assert set(surface.labels) == {0, 1, 2}
        pixels = sequence.camera.project(surface.points).round().astype(int)
        column, row = np.clip(pixels, 0, np.array(sequence.camera.size) - 1).T
        behind = surface.points[:, 2] - sequence.reference_depth(i)[row, column]
        own = sequence.instances(i)[row, column] == surface.labels
        assert np.percentile(np.abs(behind[own & (surface.labels == 0)]), 95) < 0.001
        hidden.append(int(((surface.labels == 0) & ~own & (behind > 0.002)).sum()))
    assert hidden[0] == 0 and hidden[-1] > 20
    again = SimulatedSequence("instruments", frames=6, width=320, height=256).surface(5)
    np.testing.assert_array_equal(again.points, surface.points)  # asked for out of order
