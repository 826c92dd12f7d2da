"""`endosfm3d evaluate` as users start it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from endosfm3d_ros.cli.main import build_app
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.report import write_json


def run(*arguments: object):
    return CliRunner().invoke(build_app(), ["evaluate", *map(str, arguments)])


def test_the_report_lands_in_the_file_and_on_the_screen(clip_folder, tmp_path):
    target = tmp_path / "result.json"
    result = run(
        clip_folder, "--what", "pose,intrinsics", "--depth-source", "shading",
        "--intrinsics", "fixed", "--json", target,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    content = json.loads(target.read_text())
    assert (content["clip"], content["mode"], content["frames"]) == ("simulated", "offline", 7)
    assert content["intrinsics"]["mode"] == "fixed"
    assert content["intrinsics"]["focal_rel_err"] == 0
    assert content["intrinsics"]["k_seen_by"] == "intrinsics"
    assert "rpe_rot_deg" in result.output and "7 of 7 frames processed" in result.output
    assert list(tmp_path.iterdir()) == [target]


def test_live_is_a_mode(clip_folder):
    result = run(clip_folder, "--what", "intrinsics", "--depth-source", "shading", "--mode", "live")
    assert result.exit_code == 0 and "Hz live" in result.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--what", "depht"], "'depht': accepted are depth, pose,"),
        (["--what", "tools", "--align", "best"], "'best': accepted are default, paper, none"),
        (["--what", "masks", "--masks", "magic"], "'magic': accepted are auto"),
        (["--depth-source", "lidar"], "'lidar': accepted are"),
        (["--intrinsics", "guess"], "'guess': accepted are"),
        (["--json", "/nowhere/result.json"], "/nowhere is missing"),
    ],
)
def test_wrong_options_are_one_sentence(clip_folder, options, sentence):
    result = run(clip_folder, *options)
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError) and sentence in str(result.exception)


def test_a_report_is_never_half_written(tmp_path):
    target = tmp_path / "result.json"
    write_json({"rate_hz": 1.0}, target)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"rate_hz": float("nan")}, target)
    assert json.loads(target.read_text()) == {"rate_hz": 1.0}
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_json({}, tmp_path / "missing" / "result.json")
    assert list(tmp_path.iterdir()) == [target]
