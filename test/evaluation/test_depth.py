"""Depth measures on arrays whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.evaluation.metrics.depth import (
    DepthErrors,
    affine_aligned,
    depth_errors,
    flip_blended,
    mean_inverse_scaled,
    median_scaled,
    released_c3vd,
    released_scared,
    relief,
    score_image,
)

PERFECT = DepthErrors(0, 0, 0, 0, 1, 1, 1)
METRIC_ONLY = {"abs_rel_metric", "median_rel_err", "sq_rel", "rmse_mm"}


@pytest.fixture
def surface() -> np.ndarray:
    """(40, 50) metres, with hills."""
    v, u = np.mgrid[0:40, 0:50]
    return 0.05 + 0.01 * np.sin(u / 5) * np.cos(v / 7) + 0.0002 * u


def pixels(depth: np.ndarray) -> np.ndarray:
    return np.argwhere(np.isfinite(depth))


def test_errors_of_a_uniform_excess_are_known():
    reference = np.array([0.04, 0.05, 0.10])
    errors = depth_errors(1.3 * reference, reference)
    assert errors.abs_rel == pytest.approx(0.3)
    assert errors.sq_rel == pytest.approx(0.09 * reference.mean())
    assert errors.rmse == pytest.approx(0.3 * np.sqrt(np.mean(reference**2)))
    assert errors.rmse_log == pytest.approx(np.log(1.3))
    assert errors[4:] == (0, 1, 1)  # 1.25 < 1.3 < 1.25^2


def test_ratio_thresholds_count_both_directions():
    reference = np.ones(4)
    errors = depth_errors(np.array([1.2, 1 / 1.2, 1.6, 1 / 1.6]), reference)
    assert (errors.delta1, errors.delta2, errors.delta3) == (0.5, 0.5, 1)


def test_unknown_values_on_either_side_are_left_out():
    errors = depth_errors(np.array([1, np.nan, 3.0]), np.array([1, 2, np.nan]))
    assert errors == PERFECT


@pytest.mark.parametrize("scale", [median_scaled, mean_inverse_scaled, affine_aligned])
def test_a_scaled_copy_is_perfect_after_scaling(scale, surface):
    reference = surface.ravel()
    assert depth_errors(scale(7.3 * reference, reference), reference) == pytest.approx(PERFECT)


def test_both_scalings_differ_on_a_skewed_error(surface):
    reference = surface.ravel()
    skewed = np.where(np.arange(reference.size) % 5 == 0, 2 * reference, reference)
    by_median, by_inverse = (
        depth_errors(scale(skewed, reference), reference).abs_rel
        for scale in (median_scaled, mean_inverse_scaled)
    )
    assert abs(by_median - by_inverse) > 0.02


def test_affine_alignment_takes_out_a_shift_of_inverse_depth(surface):
    reference = surface.ravel()
    shifted = 1 / (0.4 / reference + 3.0)
    assert depth_errors(median_scaled(shifted, reference), reference).abs_rel > 0.01
    aligned = affine_aligned(shifted, reference)
    assert depth_errors(aligned, reference) == pytest.approx(PERFECT, abs=1e-9)


def test_affine_alignment_of_a_constant_is_a_constant(surface):
    reference = surface.ravel()
    aligned = affine_aligned(np.full_like(reference, 0.3), reference)
    assert np.ptp(aligned) < 1e-12
    assert aligned[0] == pytest.approx(1 / np.mean(1 / reference))


def test_affine_alignment_never_puts_a_pixel_behind_the_camera(surface):
    reference = surface.ravel()
    predicted = 1 / (1 / reference + 100)  # the shift that undoes this is -100
    predicted[0] = 1e6
    aligned = affine_aligned(predicted, reference)
    assert aligned[0] == pytest.approx(2 * reference.max())
    assert aligned.min() > 0


def test_relief_sees_shape_and_ignores_planes(surface):
    reference, where = surface.ravel(), pixels(surface)
    tilted = 1 / (0.3 / reference + 0.2 * where[:, 0] - 0.1 * where[:, 1] + 40)
    assert relief(tilted, reference, where) == pytest.approx(1)
    mirrored = 1 / (100 - 1 / reference)
    assert relief(mirrored, reference, where) == pytest.approx(-1)
    plane = 1 / (20 + 0.05 * where[:, 0] + 0.02 * where[:, 1])
    assert relief(plane, reference, where) == 0
    assert np.isnan(relief(reference, plane, where))


def test_relief_of_an_unrelated_shape_is_small(surface):
    reference, where = surface.ravel(), pixels(surface)
    noise = 1 / (20 + np.random.default_rng(0).normal(size=reference.size))
    assert abs(relief(noise, reference, where)) < 0.1


def test_image_scores_of_a_metric_prediction_keep_its_scale_error(surface):
    scores = score_image((1.02 * surface).astype(np.float32), surface, metric=True)
    assert scores["abs_rel_metric"] == pytest.approx(0.02, rel=1e-4)
    assert scores["median_rel_err"] == pytest.approx(0.02, rel=1e-4)
    assert scores["rmse_mm"] == pytest.approx(20 * np.sqrt(np.mean(surface**2)), rel=1e-4)
    assert scores["sq_rel"] == pytest.approx(1e3 * 0.0004 * surface.mean(), rel=1e-4)
    assert scores["rmse_log"] == pytest.approx(np.log(1.02), rel=1e-4)
    assert scores["abs_rel_median_scaled"] < 1e-6
    assert scores["log_scale"] == pytest.approx(-np.log(1.02), rel=1e-4)


def test_image_scores_of_a_relative_prediction_have_no_unit(surface):
    scores = score_image(30 * surface, surface, metric=False)
    assert not METRIC_ONLY & scores.keys()
    assert (scores["delta1"], scores["rmse_log"]) == (1, pytest.approx(0, abs=1e-9))
    assert score_image(surface, surface, metric=True).keys() >= METRIC_ONLY


def test_coverage_is_a_share_of_the_reference(surface):
    reference, predicted = surface.copy(), surface.copy()
    reference[:20] = np.nan
    predicted[:30] = np.nan  # 10 of the 20 known rows remain
    assert score_image(predicted, reference, metric=True)["coverage"] == 0.5


def test_few_common_pixels_give_coverage_alone(surface):
    predicted = np.full_like(surface, np.nan)
    predicted[0, :20] = 0.05
    assert score_image(predicted, surface, metric=True) == {"coverage": 20 / surface.size}
    assert score_image(surface, np.full_like(surface, np.nan), metric=True) == {}


def test_flip_blending_takes_each_margin_from_the_view_that_saw_it():
    left, flipped = np.zeros((1, 2, 101)), np.ones((1, 2, 101))
    blended = flip_blended(left, flipped)[0, 0]
    assert (blended[0], blended[50], blended[-1]) == (1, 0.5, 0)


def sigmoid_of(depth: np.ndarray, nearest: float) -> np.ndarray:
    """Network output that the published conversion turns into this depth in mm."""
    low, high = 1 / 150, 1 / nearest
    return ((1 / depth - low) / (high - low)).astype(np.float32)


def test_the_released_medians_differ_for_an_even_count():
    reference = np.array([[[10, 20], [30, 40.0]]])
    depth = np.array([[[[10, 20], [40, 40.0]]]])
    per_image = released_scared(sigmoid_of(depth, 0.1), reference, "median")[0]
    scale = 25 / 30
    expected = np.abs(scale * depth.ravel() - reference.ravel()) / reference.ravel()
    assert per_image.abs_rel == pytest.approx(expected.mean(), rel=1e-4)
    batch = released_c3vd(sigmoid_of(depth, 0.01), reference, "median")  # lower medians are equal
    assert batch.abs_rel == pytest.approx(1 / 12, rel=1e-4)
