"""Small things that people stumbled over, each mended."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from endosfm3d_ros.cli.main import build_app
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.types import DepthMap, Frame, ScaleSource
from endosfm3d_ros.weights.catalogue import CATALOGUE


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papercuts") / "clip"
    write_clip(SimulatedSequence("plane", frames=3, width=160, height=128), folder)
    return folder


def run(*arguments: object, **environment: str):
    return CliRunner().invoke(build_app(), list(map(str, arguments)), env=environment)


def refused(*arguments: object, **environment: str) -> str:
    result = run(*arguments, **environment)
    assert isinstance(result.exception, EndoError), result.output
    return str(result.exception)


def test_a_clip_that_is_played_is_told_how_to_become_a_bag(clip):
    assert "`endosfm3d convert` makes a bag" in refused("play", clip)


def test_simulate_alone_names_the_scenes():
    assert "scenes are" in refused("simulate") and "breathing" in refused("simulate")


def test_a_mesh_that_was_not_named_is_asked_for(clip, tmp_path):
    said = refused("run", clip, "--out", tmp_path / "x", "--tool-models", "mesh")
    assert "--tool-model-path" in said


def test_a_folder_without_golden_vectors_is_named(tmp_path):
    assert str(tmp_path) in refused("parity", tmp_path) and "manifest.json" in refused(
        "parity", tmp_path
    )


def test_weights_that_were_named_and_are_not_there_stop_a_run_at_once(clip, tmp_path):
    said = refused("run", clip, "--out", tmp_path / "x", ENDOSFM3D_WEIGHTS="/nowhere")
    assert said == "ENDOSFM3D_WEIGHTS=/nowhere is not a folder"


def test_names_and_addresses_of_weights_can_be_copied_in_a_narrow_window():
    output = run("weights", "list", COLUMNS="60").output
    for entry in CATALOGUE:
        assert entry.name in output and entry.page in output


def test_masks_that_never_came_are_missed_aloud(clip, tmp_path):
    options = ("--tools", "topic", "--no-map", "--no-bag", "--depth-source", "stereo")
    result = run("run", clip, "--out", tmp_path / "x", *options)
    assert result.exit_code == 0, result.output
    assert "no frame came with masks" in (tmp_path / "x" / "report.html").read_text()


def test_what_stages_hand_on_can_be_printed():
    image = np.zeros((480, 640, 3), np.uint8)
    depth = np.zeros((480, 640), np.float32)
    frame = Frame(stamp=5, image=image)
    assert "image=uint8[480, 640, 3]" in repr(frame) and len(repr(frame)) < 400
    shown = repr(DepthMap(depth, depth, None, "stereo", ScaleSource.STEREO, 5))
    assert "depth=float32[480, 640]" in shown and "source='stereo'" in shown
