"""Generated depth images of lenses, sizes, encodings and units: right to 1 %, or refused."""

from __future__ import annotations

import pytest
from combinations import few_or_all, generated, tally
from depth_combinations import (
    HEIGHT,
    WIDTH,
    DepthCase,
    depth_cases,
    depth_error,
    require_right_depth,
)

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.pixels import PixelReader
from endosfm3d_ros.inputs.plausibility import require_depth_fits


def outcome(case: DepthCase) -> str:
    try:
        depth = PixelReader("/depth").depth(case.message())
        require_depth_fits(depth, (WIDTH, HEIGHT))
    except InputError:
        return "refused"
    return require_right_depth(case, *depth_error(case.picture(), case.camera, depth, case))


@pytest.mark.parametrize("count", few_or_all(60))
def test_depth_is_of_the_pixels_of_the_picture_or_refused(count):
    made = generated(depth_cases, count)
    outcomes = tally("depth, messages", (outcome(case) for case in made))
    assert outcomes["right"] >= sum(case.must_be_read for case in made) > count / 4, outcomes
