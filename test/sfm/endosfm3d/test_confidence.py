"""Confidence is low where it should be: black, highlights, depth steps, disagreement in time."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.endosfm3d.confidence import (
    NetworkConfidenceConfig,
    pixel_validity,
    scale_agreement,
    time_agreement,
)

CONFIG = NetworkConfidenceConfig()
CAMERA = PinholeCamera.default(80, 64)


def grey(value):
    return np.full((64, 80, 3), value, np.uint8)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (4, 0), (24, 1), (128, 1), (255, 0)])
def test_black_and_white_pixels_carry_nothing(value, expected):
    np.testing.assert_array_equal(pixel_validity(grey(value), CONFIG), expected)


def test_red_tissue_with_a_full_channel_is_no_highlight():
    image = grey(0)
    image[...] = (255, 90, 80)
    assert pixel_validity(image, CONFIG).min() == 1


def test_a_highlight_spoils_its_surroundings_only():
    image = grey(120)
    image[30:34, 40:44] = 255
    validity = pixel_validity(image, CONFIG)
    assert validity[28:36, 38:46].max() == 0
    assert validity[:26].min() == validity[38:].min() == 1


def test_equal_scales_agree_whatever_their_common_factor():
    inverse = np.linspace(0.05, 0.2, 64 * 80, dtype=np.float32).reshape(64, 80)
    agreement = scale_agreement(inverse, 1.7 * inverse[::2, ::2], 0.1)
    assert agreement[2:-2, 2:-2].min() > 0.9


def test_scales_part_at_a_depth_step():
    inverse = np.full((64, 80), 0.1, np.float32)
    inverse[:, 41:] = 0.2
    agreement = scale_agreement(inverse, inverse[::2, ::2], 0.1)
    assert agreement[:, 40:42].min() < 0.2
    assert agreement[:, :36].min() > 0.99
    assert agreement[:, 46:].min() > 0.99


def test_a_region_where_the_scales_differ_is_doubted():
    fine = np.full((64, 80), 0.1, np.float32)
    coarse = np.full((32, 40), 0.1, np.float32)
    coarse[:8, :8] *= 1.1052  # e^0.1
    agreement = scale_agreement(fine, coarse, 0.1)
    assert agreement[4, 4] == pytest.approx(0.5, abs=0.01)
    assert agreement[40, 40] == pytest.approx(1)


def plane(T_camera_world):
    """Inverse depth at CAMERA of a slanted plane n.X = 1 in the world."""
    normal, distance = np.array([0.2, -0.1, 1.0]), 2.0
    R, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
    n = R @ normal
    return (CAMERA.rays() @ n / (distance + n @ t)).astype(np.float32)


MOTION = se3.from_vectors([0.02, -0.03, 0.05], [0.1, 0.02, 0.08])


def test_a_rigid_scene_agrees_with_its_own_past():
    previous, current = plane(np.eye(4)), plane(MOTION)
    agreement = time_agreement(current, previous, MOTION, CAMERA, 0.02)
    assert agreement.min() > 0.99
    wrong_way = time_agreement(current, previous, se3.inverse(MOTION), CAMERA, 0.02)
    assert wrong_way.mean() < 0.9


def test_flicker_of_the_whole_depth_is_not_held_against_it():
    previous, current = plane(np.eye(4)), plane(MOTION)
    static = time_agreement(1.3 * previous, previous, np.eye(4), CAMERA, 0.02)
    assert static.min() > 0.99
    assert time_agreement(current, previous * 1.02, MOTION, CAMERA, 0.05).min() > 0.9


def test_a_region_that_jumped_is_doubted():
    previous = plane(np.eye(4))
    current = previous.copy()
    current[20:30, 20:30] *= 1.3
    agreement = time_agreement(current, previous, np.eye(4), CAMERA, 0.1)
    assert agreement[22:28, 22:28].max() < 0.2
    assert agreement[40:].min() > 0.99


def test_what_the_previous_frame_did_not_see_is_not_judged():
    sideways = se3.from_vectors([0, 0, 0], [-1.0, 0, 0])
    previous = np.full((64, 80), 0.5, np.float32)
    current = previous.copy()
    current[:, 60:] = 0.25
    agreement = time_agreement(current, previous, sideways, CAMERA, 0.1)
    assert agreement[:, 75:].min() == 1


def test_invalid_depth_has_no_agreement():
    inverse = plane(np.eye(4))
    inverse[10, 10] = np.nan
    assert scale_agreement(inverse, inverse[::2, ::2], 0.1)[10, 10] == 0
    assert np.isfinite(time_agreement(inverse, inverse, np.eye(4), CAMERA, 0.1)).all()
    nothing = np.full_like(inverse, np.nan)
    assert scale_agreement(nothing, nothing[::2, ::2], 0.1).max() == 0
