"""Cracks at depth steps are closed for the eye, and only for the eye."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.appearance.rendering import Rendering, empty_view
from endosfm3d_ros.tissue.coverage.cracks import without_cracks

NEAR, FAR = (0.8, 0.2, 0.2), (0.3, 0.5, 0.1)


def step(gap: slice) -> Rendering:
    """A near surface on the left, a far one on the right, nothing between."""
    rgb = np.empty((96, 320, 3), np.float32)
    rgb[:, :160], rgb[:, 160:] = NEAR, FAR
    depth = np.full((96, 320), 0.04, np.float32)
    depth[:, 160:] = 0.06
    alpha = np.full((96, 320), 0.999, np.float32)
    rgb[:, gap], depth[:, gap], alpha[:, gap] = 0, np.nan, 0.05
    return Rendering(rgb, depth, alpha, *(np.empty(0),) * 3)


def test_a_crack_at_a_step_takes_the_colours_beside_it_and_no_depth():
    view = step(slice(158, 163))
    rgb, covered = without_cracks(view)
    assert covered.all() and np.isfinite(rgb).all()
    middle = rgb[10:-10, 158:163]
    for channel in range(3):
        low, high = sorted((NEAR[channel], FAR[channel]))
        assert middle[..., channel].min() >= low - 1e-3
        assert middle[..., channel].max() <= high + 1e-3
    outside = np.ones(320, bool)
    outside[158:163] = False
    assert np.array_equal(rgb[:, outside], view.rgb[:, outside])
    assert np.isnan(view.depth[:, 158:163]).all()
    assert (view.rgb[:, 158:163] == 0).all()  # the view itself is left alone


def test_a_hole_is_no_crack():
    rgb, covered = without_cracks(step(slice(140, 180)))
    assert not covered[:, 145:175].any()
    assert (rgb[:, 145:175] == 0).all()


def test_beyond_the_edge_of_what_is_known_nothing_is_made_up():
    rgb, covered = without_cracks(step(slice(160, 320)))
    assert not covered[:, 160:].any() and (rgb[:, 160:] == 0).all()


def test_an_empty_view_stays_empty():
    rgb, covered = without_cracks(empty_view(PinholeCamera(64, 48, 90.0, 90.0, 32.0, 24.0)))
    assert not covered.any() and not rgb.any()
