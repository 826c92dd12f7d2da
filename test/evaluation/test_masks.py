"""Overlap of masks with regions that are not scored."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.evaluation.metrics.masks import (
    MaskScore,
    mask_means,
    mask_overlap,
    score_mask,
    scored_region,
)


def block(left: int, right: int, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    """Bool mask of the columns left..right-1."""
    mask = np.zeros(shape, bool)
    mask[:, left:right] = True
    return mask


def test_overlap_without_a_band_is_exact():
    score = mask_overlap(block(10, 30), block(20, 40), band=0)
    assert score == pytest.approx((1 / 3, 1 / 2))


def test_the_band_leaves_out_three_pixels_on_each_side():
    region = scored_region(block(20, 40))
    assert (~region[5]).nonzero()[0].tolist() == [17, 18, 19, 20, 21, 22, 37, 38, 39, 40, 41, 42]


def test_a_boundary_that_is_off_by_three_pixels_is_no_error():
    for off in (-3, 3):
        assert mask_overlap(block(20 - off, 40 + off), block(20, 40)) == (1, 1)
    assert mask_overlap(block(16, 40), block(20, 40)).iou == pytest.approx(14 / 15)


def test_ignored_pixels_do_not_count():
    wrong = block(20, 40) | block(50, 60)
    assert mask_overlap(wrong, block(20, 40)).iou < 0.7
    assert mask_overlap(wrong, block(20, 40), ignore=block(50, 60)) == (1, 1)


def test_empty_masks():
    empty = block(0, 0)
    assert mask_overlap(empty, empty) == (1, 1)
    assert mask_overlap(block(0, 9), empty) == (0, 0)
    assert mask_overlap(empty, block(20, 40)) == (0, 0)


def test_only_valid_frames_of_a_clip_are_scored(clip):
    sequence = clip(3)
    references = {0: block(20, 40), 1: block(20, 40)}
    sequence.mask = references.get
    sequence.mask_valid = {0: True, 1: False}.__getitem__
    assert score_mask(block(20, 40), sequence, 0) == (1, 1)
    assert score_mask(block(20, 40), sequence, 1) is None
    assert score_mask(block(20, 40), sequence, 2) is None


def test_means_over_frames():
    assert mask_means([MaskScore(0.5, 0.6), MaskScore(1.0, 1.0)]) == pytest.approx(
        {"iou_mean": 0.75, "dice_mean": 0.8}
    )
    assert mask_means([]) == {}
