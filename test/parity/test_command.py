"""The parity command on a folder made here."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from endosfm3d_ros.cli.parity import register
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.evaluation.parity import PARTS, run
from endosfm3d_ros.evaluation.parity.check import Check


def invoke(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["parity", *map(str, arguments)])


def test_agreement_is_reported_and_exits_with_zero(made, tmp_path, monkeypatch):
    monkeypatch.setitem(PARTS, "eval_pose", lambda folder: iter([Check("not_run_here")]))
    np.savez(made / "eval_pose.npz", anything=np.zeros(1))
    result = invoke(made, "--json", tmp_path / "parity.json")
    assert result.exit_code == 0, result.output
    assert "0 failed" in result.output
    assert "not built" in result.output
    report = json.loads((tmp_path / "parity.json").read_text())
    assert set(report["endosfm3d_pose/K_published_p1"]) == {"error", "tolerance", "ok"}
    assert report["endosfm3d_pose/axisangle_m1"]["ok"] is True
    assert report["endosfm3d_pose/attention_layer_2_m1"]["error"] < 1e-4
    assert report["eval_pose/not_run_here"] == {"error": None, "tolerance": None, "ok": None}
    assert {name.partition("/")[0] for name in report} == {"endosfm3d_pose", "eval_pose"}


def test_weights_of_another_seed_fail_and_exit_with_one(made, tmp_path):
    (made / "manifest.json").write_text('{"seed": 8}')
    result = invoke(made, "--json", tmp_path / "parity.json")
    assert result.exit_code == 1
    assert "FAILED" in result.output
    report = json.loads((tmp_path / "parity.json").read_text())
    outcomes = {name: entry["ok"] for name, entry in report.items() if name.startswith("endo")}
    assert not any(outcomes.values())


def test_a_json_file_in_no_folder_is_refused_before_the_run(made, tmp_path):
    result = invoke(made, "--json", tmp_path / "absent" / "parity.json")
    assert isinstance(result.exception, ConfigurationError)


def test_every_part_of_the_layout_is_registered():
    assert set(PARTS) == {
        *(f"endosfm3d_{part}" for part in ("depth", "pose", "train")),
        *(f"eval_{part}" for part in ("depth", "pose")),
        *(f"openlrm_{part}" for part in ("base", "tiny", "io")),
        "opjpo",
    }


def first(folder):
    return next(iter(run(folder)))


def test_unusable_folders_are_named(made, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        first(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"manifest\.json"):
        first(tmp_path / "empty")
    (tmp_path / "empty" / "manifest.json").write_text('{"seed": 1}')
    with pytest.raises(InputError, match=r"holds none of endosfm3d_depth\.npz"):
        first(tmp_path / "empty")
    (made / "manifest.json").write_text('{"seed": "one"}')
    with pytest.raises(InputError, match="integer"):
        first(made)


def test_missing_rule_shapes_and_arrays_are_named(made):
    arrays = dict(np.load(made / "endosfm3d_pose.npz"))
    arrays.pop("K_m1")
    np.savez(made / "endosfm3d_pose.npz", **arrays)
    with pytest.raises(InputError, match="no array K_m1"):
        list(run(made))
    (made / "shapes" / "endosfm3d.json").write_text("{}")
    with pytest.raises(InputError, match="not pose_encoder"):
        first(made)
    (made / "shapes" / "endosfm3d.json").unlink()
    with pytest.raises(InputError, match=r"endosfm3d\.json"):
        first(made)


def test_a_folder_without_its_rule_is_refused(made):
    (made / "fill.py").unlink()
    with pytest.raises(InputError, match=r"fill\.py"):
        first(made)
