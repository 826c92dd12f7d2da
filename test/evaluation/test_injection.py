"""References in place of estimates, in every combination."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from endosfm3d_ros.cli.evaluate import configuration, tools_protocol
from endosfm3d_ros.cli.main import build_app
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.evaluate import evaluate
from endosfm3d_ros.evaluation.runs.injection import InjectedFrames, Injection, require_references

ALL = ("depth", "pose", "mask", "K")


@pytest.fixture(scope="module")
def sequence():
    """Three frames with instruments, at 240 x 192 px, that know everything of themselves."""
    return SimulatedSequence("surgery", frames=3, width=240, height=192, fps=10)


def settings(*what: str):
    tools = tools_protocol("capsule", "", "default", None)
    return configuration(list(what), "shading", "estimate", "offline", "colour", tools, True)


def test_four_parts_have_sixteen_combinations_from_nothing_to_all():
    every = Injection.of(ALL).combinations()
    assert len(every) == len(set(every)) == 16
    assert (str(every[0]), str(every[-1])) == ("nothing", "depth + pose + mask + K")
    assert len(Injection.of(["pose"]).combinations()) == 2


def test_frames_carry_what_is_injected_and_nothing_else(sequence):
    plain = next(iter(sequence))
    frame = next(iter(InjectedFrames(sequence, Injection.of(["depth", "mask"]))))
    assert np.array_equal(frame.depth, sequence.reference_depth(0), equal_nan=True)
    assert np.array_equal(frame.tool_labels, sequence.instances(0))
    assert frame.pose is plain.pose and frame.camera == plain.camera
    untouched = next(iter(InjectedFrames(sequence, Injection())))
    assert untouched.depth is None and untouched.tool_labels is None


@pytest.mark.parametrize(
    ("injected", "perfect"),
    [
        (("depth",), {"abs_rel_metric"}),
        (("pose",), {"ate_sim3_of_path"}),
        (("K",), {"focal_rel_err"}),
        (("depth", "pose", "K"), {"abs_rel_metric", "ate_se3_mm", "focal_rel_err"}),
    ],
)
def test_what_is_injected_has_no_error_of_its_own(sequence, injected, perfect):
    config = replace(settings("depth", "pose", "intrinsics"), injection=Injection.of(injected))
    report = evaluate(sequence, config)
    values = {k: v for scores in report.scores.values() for k, v in scores.values.items()}
    errors = ("abs_rel_metric", "ate_se3_mm", "ate_sim3_of_path", "focal_rel_err")
    found = {name for name in errors if values.get(name, 1.0) < 1e-4}
    assert perfect <= found and ("K" in injected or "focal_rel_err" not in found)


def test_frames_without_a_reference_are_named(clip):
    with pytest.raises(ConfigurationError, match="--inject depth: frame 0 of made has no"):
        require_references(clip(3), Injection.of(["depth"]))


@pytest.mark.parametrize(
    ("what", "injected", "sentence"),
    [
        ("pose", "depht", "'depht': accepted are depth, pose, mask, K"),
        ("masks", "mask", "the part masks cannot take it"),
        ("tissue", "pose", "the part tissue cannot take it"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, what, injected, sentence):
    arguments = ["evaluate", str(tmp_path), "--what", what, "--inject", injected]
    result = CliRunner().invoke(build_app(), arguments)
    assert isinstance(result.exception, ConfigurationError) and sentence in str(result.exception)


def test_the_command_prints_one_table_of_all_combinations(sequence, tmp_path):
    write_clip(sequence, tmp_path / "clip")
    arguments = [
        "evaluate", str(tmp_path / "clip"), "--what", "depth,pose,intrinsics",
        "--inject", "depth,K", "--depth-source", "shading", "--table", "csv",
        "--json", str(tmp_path / "r.json"),
    ]  # fmt: skip
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["reference of"] for row in rows] == ["nothing", "depth", "K", "depth + K"]
    assert (
        float(rows[-1]["intrinsics focal_rel_err"])
        == 0
        < float(rows[0]["intrinsics focal_rel_err"])
    )
    assert rows[0]["depth abs_rel_metric"] == "" and float(rows[1]["depth abs_rel_metric"]) < 0.01
    assert [each["injected"] for each in json.loads((tmp_path / "r.json").read_text())] == [
        row["reference of"] for row in rows
    ]
