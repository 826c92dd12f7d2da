"""Mode `auto`: a given calibration is believed until the video contradicts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.calibration.given import GivenCalibration
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig, IntrinsicsFilter
from endosfm3d_ros.sfm.calibration.lens import LensBelief
from endosfm3d_ros.types import Frame, IntrinsicsEstimate

GIVEN = PinholeCamera(320, 256, 300.0, 300.0, 156.0, 130.0)


def said(focal: float, sigma: float, count: int, state: str = "converged") -> IntrinsicsEstimate:
    """What self-calibration might say."""
    camera = replace(GIVEN, fx=focal, fy=focal)
    covariance = LensBelief.of_camera(camera, sigma, 0.01).covariance(camera)
    return IntrinsicsEstimate(camera, covariance, state, count, "auto")


@pytest.fixture
def trust() -> GivenCalibration:
    trust = GivenCalibration(0.02, 0.01)
    assert trust.start(GIVEN) == GIVEN
    return trust


def test_a_calibration_that_fits_is_published_as_it_is(trust):
    for count in range(20):
        believed = trust.judge(said(303.0, 0.01, count))
    assert believed.camera == GIVEN and believed.state == "given"
    assert np.sqrt(believed.covariance[0, 0]) == pytest.approx(0.02 * 300)
    assert trust.note == ""


def test_a_contradiction_beyond_both_deviations_takes_over_with_a_warning(trust):
    for count in range(1, 4):
        assert trust.note == ""
        believed = trust.judge(said(345.0, 0.02, count))
    assert believed.camera.fx == 345.0 and believed.state == "converged"
    assert "fx 300 px" in trust.note and "fx 345 px" in trust.note
    assert trust.start(GIVEN).fx == 345.0  # self-calibration goes on from there


def test_one_solution_is_judged_once_however_many_frames_it_lasts(trust):
    for _ in range(50):
        assert trust.judge(said(345.0, 0.02, 1)).camera == GIVEN


def test_what_is_not_known_well_contradicts_nothing(trust):
    for count in range(1, 9):
        assert trust.judge(said(345.0, 0.08, count)).camera == GIVEN


def test_a_zoom_is_passed_on_at_once_and_takes_over_once_it_is_certain(trust):
    assert trust.judge(said(380.0, 0.12, 5, "changed")).camera.fx == 380.0
    assert trust.note == ""
    assert trust.judge(said(380.0, 0.02, 5)).camera.fx == 380.0
    assert "zoomed" in trust.note
    assert trust.judge(said(302.0, 0.02, 6)).camera.fx == 302.0  # for good


def test_a_zoom_that_was_none_is_forgotten(trust):
    assert trust.judge(said(380.0, 0.12, 5, "changed")).camera.fx == 380.0
    assert trust.judge(said(380.0, 0.12, 5, "converging")).camera == GIVEN
    assert trust.start_anew and trust.note == ""
    trust.judge(said(301.0, 0.02, 1))
    assert not trust.start_anew


def test_a_zoom_smaller_than_the_calibration_is_sure_of_is_none(trust):
    assert trust.judge(said(310.0, 0.1, 5, "changed")).camera == GIVEN


def test_another_calibration_is_believed_again(trust):
    trust.judge(said(331.0, 0.01, 5, "changed"))
    assert "zoomed" in trust.note
    other = replace(GIVEN, fx=331.0, fy=331.0)
    assert trust.start(other) == other and trust.note == ""
    assert trust.judge(said(330.0, 0.02, 6)).camera == other


def test_without_a_calibration_auto_is_estimate():
    image = np.full((256, 320, 3), 90, np.uint8)
    for mode in ("auto", "estimate"):
        found = IntrinsicsFilter(IntrinsicsConfig(mode)).update(Frame(0, image))
        assert (found.camera.fx, found.state) == (pytest.approx(0.82 * 320), "uninitialised")


def test_a_calibration_that_comes_late_or_at_another_size_is_believed():
    image = np.full((128, 160, 3), 90, np.uint8)
    intrinsics = IntrinsicsFilter(IntrinsicsConfig("auto"))
    assert intrinsics.update(Frame(0, image)).state == "uninitialised"
    believed = intrinsics.update(Frame(1, image, camera=GIVEN))
    assert believed.camera == GIVEN.resized(160, 128) and believed.state == "given"
    assert intrinsics.update(Frame(2, image)).state == "given"  # it need not come with every image
