"""The simulator's references are exact: what they predict is what the pictures show."""

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from endosfm3d_ros.datasets.simulation.scenes import BASELINE, SCENES
from endosfm3d_ros.datasets.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry import se3

SIZE = {"width": 240, "height": 192}


def test_the_same_arguments_give_the_same_pixels():
    first, second = (SimulatedSequence("breathing", frames=3, seed=4, **SIZE)[2] for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.right_image, second.right_image)
    other = SimulatedSequence("breathing", frames=3, seed=5, **SIZE)[2]
    assert np.abs(other.image.astype(int) - first.image).mean() > 5


def test_noise_is_new_in_each_frame_and_eye():
    still = SimulatedSequence("plane", frames=2, **SIZE)
    np.testing.assert_array_equal(still[0].image, still[1].image)  # no motion, no noise
    noisy = SimulatedSequence("static", frames=2, fps=1e6, **SIZE)  # no time to move
    assert 0.5 < np.abs(noisy[0].image.astype(int) - noisy[1].image).mean() < 3


def test_the_plane_is_at_50_mm():
    plane = SimulatedSequence("plane", frames=1, **SIZE)
    np.testing.assert_allclose(plane.reference_depth(0), 0.050, rtol=0, atol=1e-8)


def test_the_raw_eye_of_the_rotated_scene_is_turned_by_two_degrees():
    pair = SimulatedSequence("rotated", frames=1, **SIZE).stereo
    angle = np.degrees(se3.rotation_angle(se3.from_rotation(pair.R_left)))
    assert angle == pytest.approx(2.0, abs=1e-9)
    assert np.degrees(se3.rotation_angle(se3.from_rotation(pair.R_right))) == pytest.approx(1.2)
    assert pair.left.fx != pair.P_left[0, 0] and pair.baseline == pytest.approx(BASELINE)


@pytest.mark.parametrize("scene", list(SCENES))
def test_depth_of_one_eye_is_seen_by_the_other(scene):
    """Left depth, moved into the right eye, against the right eye's own rays."""
    sequence = SimulatedSequence(scene, frames=31, **SIZE)
    assert_consistent(sequence, (30, 0), (30, 1))


@pytest.mark.parametrize("scene", ["static", "rotated"])
def test_depth_is_consistent_along_the_path(scene):
    sequence = SimulatedSequence(scene, frames=61, **SIZE)
    moved = se3.inverse(sequence.reference_pose(0)) @ sequence.reference_pose(60)
    assert np.linalg.norm(moved[:3, 3]) > 0.005 and se3.rotation_angle(moved) > 0.05
    assert_consistent(sequence, (0, 0), (60, 0))


def assert_consistent(sequence, source, target):
    """Points of one view on the rays of another: 0.01 mm in depth, 0.05 px on the image.

    The target's depth is sampled bilinearly where a point projects to. The point on that ray is
    moved back into the source, where it must meet the pixel it came from.
    """
    depth, pose, eye = view(sequence, *source)
    other_depth, other_pose, other_eye = view(sequence, *target)
    points = (eye.rays() * depth[..., None]).reshape(-1, 3).astype(np.float64)
    moved = se3.transform(se3.inverse(other_pose) @ pose, points)
    pixels = other_eye.project(moved)
    inside = ((pixels > 1) & (pixels < np.array(other_eye.size) - 2)).all(1)
    assert inside.mean() > 0.5
    moved, pixels = moved[inside], pixels[inside]
    met = map_coordinates(other_depth.astype(np.float64), pixels.T[::-1], order=1)
    assert np.abs(met - moved[:, 2]).max() < 1e-5
    seen = other_eye.unproject(pixels) * met[:, None]
    back = eye.project(se3.transform(se3.inverse(pose) @ other_pose, seen))
    u, v = np.meshgrid(np.arange(eye.width), np.arange(eye.height))
    own = np.stack([u, v], -1).reshape(-1, 2)[inside]
    assert np.linalg.norm(back - own, axis=1).max() < 0.05


def view(sequence, i, eye):
    """Depth, camera-to-world and camera of one raw eye."""
    camera = (sequence.stereo.left, sequence.stereo.right)[eye]
    return sequence._cast(i, eye).depth.numpy(), sequence._pose(i, eye), camera


@pytest.mark.parametrize("scene", ["static", "rotated"])
def test_pictures_agree_with_depth(scene):
    """The right picture, fetched through left depth, is the left picture but for the highlights."""
    sequence = SimulatedSequence(scene, frames=1, width=480, height=384)
    frame, (depth, pose, eye) = sequence[0], view(sequence, 0, 0)
    _, other_pose, other_eye = view(sequence, 0, 1)
    points = (eye.rays() * depth[..., None]).reshape(-1, 3).astype(np.float64)
    pixels = other_eye.project(se3.transform(se3.inverse(other_pose) @ pose, points))
    errors = []
    for shift in (-0.5, 0.0, 0.5):
        maps = (pixels + np.array([shift, 0])).reshape(*depth.shape, 2).astype(np.float32)
        fetched = cv2.remap(frame.right_image, maps, None, cv2.INTER_CUBIC)
        difference = np.abs(fetched.astype(float) - frame.image)
        errors.append(np.median(difference[60:-60, 60:-60]))
    assert errors[1] < 2 and errors[1] < 0.8 * min(errors[0], errors[2])


def test_rays_meet_the_surface_to_float_precision():
    """Newton's answer put into the height function, in double precision."""
    sequence = SimulatedSequence("breathing", frames=31, **SIZE)
    hit = sequence._cast(30, 0)
    h, _, _ = sequence._field.height(hit.x.double(), hit.y.double(), 2.0)
    assert torch.abs(h - hit.z).max() < 3e-8


def test_breathing_moves_the_tissue_and_static_does_not():
    for scene, low, high in (("breathing", 0.002, 0.01), ("static", 0, 1e-9)):
        field = SimulatedSequence(scene, frames=1, **SIZE)._field
        side = torch.linspace(-0.02, 0.02, 50)
        x, y = torch.meshgrid(side, side, indexing="xy")
        lift = torch.abs(field.height(x, y, 2.0)[0] - field.height(x, y, 0.0)[0]).max()
        assert low <= lift <= high


def test_wrong_arguments_are_one_sentence():
    with pytest.raises(ConfigurationError, match="'moon': accepted are breathing, static, plane"):
        SimulatedSequence("moon")
    for wrong in ({"frames": 0}, {"width": 8}, {"fps": 0.0}):
        with pytest.raises(ConfigurationError, match="at least one frame of 16x16"):
            SimulatedSequence(**{"frames": 1, **wrong})
