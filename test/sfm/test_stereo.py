from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.sfm.depth.stereo import StereoConfig, StereoSource
from endosfm3d_ros.types import ScaleSource


@pytest.fixture(scope="module")
def plane():
    return SimulatedSequence("plane", frames=1)


@pytest.fixture(scope="module")
def frame(plane):
    return plane[0]


def errors(sequence, frame, config=None) -> tuple[np.ndarray, float]:
    """Signed depth errors in metres on valid pixels, and their share."""
    depth = StereoSource(config).estimate(frame, frame.camera)
    good = depth.valid
    return (depth.depth - sequence.reference_depth(0))[good], good.mean()


def test_a_plane_is_flat_to_a_tenth_of_a_millimetre(plane, frame):
    error, coverage = errors(plane, frame)
    assert abs(np.median(error)) < 1e-4
    assert np.mean(np.abs(error) < 5e-4) > 0.99
    assert coverage > 0.85


def test_the_result_is_in_the_raw_left_frame():
    """R1 is 2 degrees: taking rectified depth for raw depth would be wrong by several percent."""
    sequence = SimulatedSequence("rotated", frames=1)
    error, coverage = errors(sequence, sequence[0])
    assert np.median(np.abs(error)) < 2e-4
    assert np.mean(np.abs(error) < 1e-3) > 0.95  # the rest are rims, where one eye sees no tissue
    assert coverage > 0.75


def test_wide_images_are_matched_at_the_working_width(plane, frame):
    depth = StereoSource(StereoConfig(max_width=320)).estimate(frame, frame.camera)
    assert depth.depth.shape == (256, 320)
    assert depth.camera.size == (320, 256)
    assert np.nanmedian(depth.depth) == pytest.approx(0.05, rel=0.005)


def test_confidence_is_low_where_there_is_nothing_to_match(frame):
    flat = replace(
        frame, image=np.full_like(frame.image, 90), right_image=np.full_like(frame.image, 90)
    )
    textured = StereoSource().estimate(frame, frame.camera)
    blank = StereoSource().estimate(flat, frame.camera)
    assert blank.confidence.max() < 0.05
    assert textured.confidence[textured.valid].mean() > 0.3
    assert (textured.confidence[~textured.valid] == 0).all()
    assert textured.scale == ScaleSource.STEREO


def test_exchanged_eyes_are_refused(frame):
    swapped = replace(frame, image=frame.right_image, right_image=frame.image)
    with pytest.raises(InputError, match="exchanged"):
        StereoSource().estimate(swapped, frame.camera)


def test_a_negative_baseline_is_refused(frame):
    P = frame.stereo.P_right.copy()
    P[0, 3] *= -1
    wrong = replace(frame, stereo=replace(frame.stereo, P_right=P))
    with pytest.raises(InputError, match="baseline -4"):
        StereoSource().estimate(wrong, frame.camera)


def test_sizes_that_do_not_agree_are_refused(frame):
    wrong = replace(frame, right_image=frame.right_image[:100])
    with pytest.raises(InputError, match="640x100"):
        StereoSource().estimate(wrong, frame.camera)


def test_one_eye_is_no_pair(frame):
    with pytest.raises(InputError, match="right image"):
        StereoSource().estimate(replace(frame, right_image=None), frame.camera)


def test_limits_must_be_in_order():
    with pytest.raises(ConfigurationError, match=r"min_depth 0\.5 m"):
        StereoConfig(min_depth=0.5)
