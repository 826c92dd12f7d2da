"""Whether what a mask calls an instrument is one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.tools.belief import Believer, cues_of

TISSUE, STEEL, WHITE = (150, 70, 55), (110, 115, 120), (255, 255, 255)
NOBODY = np.zeros((256, 320), bool)


def a_view(step: float, colour=STEEL, inner: bool = False):
    """Mask, image and depth: a bar before tissue at 60 mm, nearer by a share `step`."""
    plane = np.zeros((256, 320), np.uint8)
    start = (250, 200) if inner else (330, 240)
    cv2.line(plane, start, (150, 110), 1, 30)
    mask = plane > 0
    grain = np.random.default_rng(1).normal(0, 6, (256, 320, 1))
    image = np.where(mask[..., None], colour, TISSUE) + grain
    depth = np.where(mask, 0.06 / (1 + step), 0.06).astype(np.float32)
    return mask, np.clip(image, 0, 255).astype(np.uint8), depth


def believed(view, frames: int = 8, measured: bool = True, given: bool = False, **figures):
    mask, image, depth = view
    believer = Believer()
    for _ in range(frames):
        cues = cues_of(mask, NOBODY, image, depth, **figures)
        belief = believer.look(cues, measured, given)
    return belief


def test_a_shaft_before_the_tissue_is_an_instrument_after_some_images():
    view = a_view(0.3)
    assert not believed(view, 1, iou=0.9, probability=0.9).trusted
    belief = believed(view, 4, iou=0.9, probability=0.9)
    assert belief.trusted and belief.confidence > 0.8 and not belief.reason


@pytest.mark.parametrize("given", [False, True])
def test_a_highlight_in_the_tissue_never_is_one_whatever_its_shape_and_mask(given):
    belief = believed(a_view(0.0, WHITE), 50, given=given, iou=0.95, probability=0.95)
    assert not belief.trusted and belief.confidence < 0.2
    assert "no depth step" in belief.reason


def test_what_never_reached_the_border_is_none():
    belief = believed(a_view(0.1, inner=True), 50, measured=False, iou=0.8, probability=0.85)
    assert not belief.trusted and "border" in belief.reason


def test_a_mask_in_the_black_surround_of_a_round_picture_is_none():
    mask, image, depth = a_view(0.3)
    image[:, 200:] = 0
    belief = believed((mask, image, depth), 50, measured=False, iou=0.9, probability=0.9)
    assert not belief.trusted and "black surround" in belief.reason


def test_a_round_view_has_its_border_where_the_picture_begins():
    mask, image, depth = a_view(0.3, inner=True)
    image[:, 262:] = 0
    assert cues_of(mask, NOBODY, image, depth).enters
    mask, image, depth = a_view(0.3, inner=True)
    assert not cues_of(mask, NOBODY, image, depth).enters


def test_a_network_that_hesitates_is_not_enough_where_depth_is_guessed():
    view = a_view(0.1)
    assert believed(view, 20, measured=False, iou=0.9, probability=0.95).trusted
    belief = believed(view, 20, measured=False, iou=0.9, probability=0.76)
    assert not belief.trusted and "hesitates" in belief.reason


def test_neighbouring_tools_do_not_count_as_surroundings():
    """A second tool beside the first is as near as it is: no depth step between the two."""
    mask, image, depth = a_view(0.3)
    others = (cv2.dilate(mask.astype(np.uint8), np.ones((41, 41))) > 0) & ~mask
    others[:, :200] = False
    depth[others] = depth[mask][0]
    assert cues_of(mask, others, image, depth).step > 0.2
