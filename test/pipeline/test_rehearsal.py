"""Stages that ran once: nothing of it stays, and it says what to expect."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.engines.progress import Cancelled
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.pipeline.rehearsal import COUNT, DISTANCE, frames, measure, rehearse
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tools.stage import ToolsConfig

SMALL = (320, 256)


def pipeline(source: str = "stereo", **options) -> Pipeline:
    config = PipelineConfig(
        sfm=EstimatorConfig(depth_source=source),
        tools=ToolsConfig(masks="colour", in_background=False),
        tissue=TissueConfig(width=160),
        tissue_budget=None,
    )
    return Pipeline(replace(config, **options))


@pytest.mark.parametrize("source", ["auto", "topic", "stereo", "endosfm3d", "shading"])
def test_every_source_runs_every_stage(source):
    said = []
    done = rehearse(pipeline(source), said.append, SMALL)
    assert {"segment", "depth", "intrinsics", "motion", "tissue", "tools", "total"} <= set(
        done.stages
    )
    assert 0 < done.seconds < 60
    assert done.rate == pytest.approx(1 / done.seconds)
    assert said[0] == "running every stage on made-up images"
    assert done.update.depth.coverage > 0.5


def test_the_made_up_pair_is_a_wall_at_its_distance_with_an_instrument():
    done = measure(pipeline(), "stereo")
    assert np.nanmedian(done.update.depth.depth) == pytest.approx(DISTANCE, rel=0.02)
    assert [tool.model is not None for tool in done.update.tools.tools] == [True]


def test_nothing_of_it_stays():
    clip = list(SimulatedSequence("moving", frames=3, width=320, height=256))
    fresh, rehearsed = pipeline(), pipeline()
    rehearse(rehearsed, size=SMALL)
    for frame in clip:
        a, b = fresh.process(frame), rehearsed.process(frame)
        np.testing.assert_array_equal(a.depth.depth, b.depth.depth)
        np.testing.assert_allclose(a.pose.T_map_camera, b.pose.T_map_camera, atol=1e-9)
        np.testing.assert_array_equal(a.tissue.image, b.tissue.image)
        assert [tool.track.id for tool in a.tools.tools] == [
            tool.track.id for tool in b.tools.tools
        ]


def test_it_can_be_stopped():
    def stop(text):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        rehearse(pipeline(), stop, SMALL)


def test_what_made_up_images_break_does_not_stop_the_node(caplog, monkeypatch):
    broken = pipeline("shading")
    monkeypatch.setattr(broken, "process", lambda frame: 1 / 0)
    done = rehearse(broken, size=SMALL)
    assert done.update is None and math.isnan(done.seconds)
    assert "could not be rehearsed: ZeroDivisionError" in caplog.text


def test_what_is_missing_for_every_frame_is_an_error_at_once(monkeypatch):
    """No compiled rasteriser, and no compiler to make one."""
    lacking = pipeline("shading")

    def no_library(frame):
        raise ConfigurationError("no C++ compiler among c++, g++, clang++")

    monkeypatch.setattr(lacking, "process", no_library)
    with pytest.raises(ConfigurationError, match="no C"):
        rehearse(lacking, size=SMALL)


def test_frames_of_any_size():
    for size in ((64, 48), (333, 257), (1920, 1080)):
        made = list(frames("stereo", size))
        assert len(made) == COUNT
        assert {frame.image.shape for frame in made} == {(size[1], size[0], 3)}
