"""`endosfm3d engines`: what it lists, removes and says."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from endosfm3d_ros.cli import engines
from endosfm3d_ros.engines import obtain_engine
from endosfm3d_ros.errors import ConfigurationError


@pytest.fixture
def run(settings, monkeypatch):
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(settings.cache_dir))
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer()
    engines.register(app)
    app.command("other")(lambda: None)  # one group alone would lose its name

    def call(*arguments):
        return CliRunner().invoke(app, ["engines", *arguments])

    return call


def test_nothing_there(run, settings):
    assert f"no engines in {settings.cache_dir}" in run("list").output.replace("\n", "")
    assert "0 MiB removed" in run("clean").output


def test_list_names_engines_and_damaged_files(run, make_recipe, settings):
    obtain_engine(make_recipe(description={"weights": "official"}), settings)
    (settings.cache_dir / "broken.engine").write_text("x")
    output = run("list").output
    for word in ("small", "official", "openvino f32", "broken.engine", "damaged"):
        assert word in output


def test_clean_removes_everything(run, recipe, settings):
    obtain_engine(recipe, settings)
    assert run("clean").exit_code == 0
    assert list(settings.cache_dir.iterdir()) == []


def test_build_reports_what_runs(run, recipe, tmp_path, monkeypatch):
    (tmp_path / "depth_model.pth").write_bytes(b"")
    monkeypatch.setattr("endosfm3d_ros.sfm.endosfm3d_engines.depth_recipe", lambda _weights: recipe)
    first = run("build", "--weights", str(tmp_path)).output
    assert "small: openvino f32, built in" in first
    assert "no pose network" in first
    assert "from disk in" in run("build", "--weights", str(tmp_path)).output


def test_build_without_weights_is_one_sentence(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("ENDOSFM3D_WEIGHTS", raising=False)
    monkeypatch.setattr("endosfm3d_ros.sfm.weights.files", lambda _: tmp_path)
    error = run("build").exception
    assert isinstance(error, ConfigurationError)
    assert "no EndoSfM3D weights are installed" in str(error)
