"""Raw intrinsics errors, and what the published measure hides."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.evaluation.metrics.intrinsics import intrinsics_errors, released_scale_adjusted
from endosfm3d_ros.geometry.camera import PinholeCamera

TRUTH = PinholeCamera(640, 512, 555.0, 560.0, 320.0, 255.0)


def test_errors_are_relative_to_focal_length_and_width():
    estimate = PinholeCamera(640, 512, 1.1 * 555, 0.9 * 560, 326.4, 255.0)
    errors = intrinsics_errors(estimate, TRUTH)
    assert errors["focal_rel_err"] == pytest.approx(0.1)
    assert errors["centre_rel_err"] == pytest.approx(0.005)


def test_an_estimate_of_another_size_is_compared_at_the_reference_size():
    errors = intrinsics_errors(TRUTH.resized(320, 256), TRUTH)
    assert errors == pytest.approx({"focal_rel_err": 0, "centre_rel_err": 0})


def test_the_published_measure_does_not_see_a_focal_error():
    K = TRUTH.K.copy()
    K[0, 0] *= 2
    K[1, 1] *= 2
    hidden = released_scale_adjusted(K[None], TRUTH.K)
    assert hidden["scale_adjusted_fx_rel_error_mean"] == pytest.approx(0)
    assert hidden["scale_adjusted_cx_rel_error_mean"] == pytest.approx(50)
    raw = intrinsics_errors(PinholeCamera.from_matrix(K, 640, 512), TRUTH)
    assert raw["focal_rel_err"] == pytest.approx(1)


def test_the_published_statistics_cover_all_predictions():
    K = np.stack([TRUTH.K, TRUTH.K])
    K[1, 0, 2] += 4
    values = released_scale_adjusted(K, TRUTH.K)
    assert values["scale_adjusted_cx_abs_error_max"] == pytest.approx(4)
    assert values["scale_adjusted_cx_abs_error_mean"] == pytest.approx(2)
    assert values["scale_adjusted_cx_abs_error_std"] == pytest.approx(2)
    assert values["scale_adjusted_matrix_frobenius_norm_max"] == pytest.approx(4)
