"""Named protocols: what of a reference counts, and what the released evaluation makes of it."""

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.metrics.protocols import (
    PROTOCOLS,
    Crop,
    DepthProtocol,
    ReleasedScores,
    find_protocol,
)
from endosfm3d_ros.evaluation.parts.estimates import DepthPart
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.types import ScaleSource


def test_values_outside_the_range_are_not_scored():
    reference = np.float32([[0.0, 0.05, 0.149], [0.151, np.nan, -1.0]])
    scored = find_protocol("scared").scored(reference)
    np.testing.assert_array_equal(np.isfinite(scored), [[False, True, True], [False] * 3])
    assert np.isfinite(find_protocol("hamlyn").scored(reference)).sum() == 3


def test_a_crop_follows_the_size_of_the_image_and_spares_other_shapes():
    crop = Crop(200, 180, 1150, 900, (1350, 1080))
    whole = crop.inside(1080, 1350)
    assert whole.sum() == 950 * 720
    assert whole[180, 200] and not whole[179, 200] and not whole[180, 1150]
    half = crop.inside(540, 675)
    assert half.sum() == 475 * 360
    assert crop.inside(512, 640).mean() == pytest.approx(whole.mean(), rel=0.01)
    assert crop.inside(480, 640).all()


def test_every_protocol_is_found_by_its_name():
    assert all(find_protocol(name).name == name for name in PROTOCOLS)
    with pytest.raises(ConfigurationError, match="'kitti': accepted are scared, c3vd"):
        find_protocol("kitti")


@pytest.mark.parametrize(("images", "rows"), [(1, 4), (2, 2), (3, 2)])
def test_images_that_share_one_scale_are_scored_together(images, rows, hills):
    """Frames of different scale agree alone, and not together."""
    released = ReleasedScores(DepthProtocol("made", 1e-5, 1.0, images_per_scale=images))
    for k in (1, 2, 1, 2):
        released.add(k * hills, hills, metric=False)
    released.close(metric=False)
    errors = released.columns["released_abs_rel"]
    assert len(errors) == rows
    assert max(errors) == pytest.approx(0, abs=1e-6) if images == 1 else max(errors) > 0.2
    assert "released_rmse_mm" not in released.columns


def test_the_released_evaluation_clamps_what_it_scaled(hills):
    protocol = DepthProtocol("made", 1e-5, float(np.median(hills)))
    released = ReleasedScores(protocol)
    reference = protocol.scored(hills)
    released.add(np.where(hills > 0.9 * np.nanmax(reference), 1e3, hills), reference, True)
    released.close(True)
    assert released.columns["released_abs_rel"][0] < 0.5  # and not 1e4
    assert released.columns["released_rmse_mm"][0] > 0


def test_a_report_carries_both_and_names_the_protocol(clip, make_update, hills):
    sequence = clip(3)
    far = np.where(np.arange(hills.shape[1]) < 4, np.float32(0.5), hills)
    sequence.depths = dict.fromkeys(range(3), far)
    part = DepthPart(sequence, Pipeline(PipelineConfig()), protocol=find_protocol("scared"))
    for i, frame in enumerate(sequence):
        part.add(i, make_update(frame, 2 * hills, scale=ScaleSource.RELATIVE))
        part.settle()
    values = part.scores().values
    assert values["protocol"] == "scared"
    assert values["abs_rel_median_scaled"] == pytest.approx(0, abs=1e-6)  # 0.5 m is not scored
    assert values["released_abs_rel"] == pytest.approx(0, abs=1e-6)
    assert values["released_delta1"] == 1
    assert "released_sq_rel" not in values
