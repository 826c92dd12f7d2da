"""`endosfm3d engines`: what it lists, removes and says."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from endosfm3d_ros.cli import engines
from endosfm3d_ros.engines import obtain_engine
from endosfm3d_ros.engines.device import cuda_obstacle
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.weights import installed_networks as network_list
from endosfm3d_ros.weights.installed_networks import generated_images


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


@pytest.fixture
def weights(tmp_path, recipe, monkeypatch):
    """A weight set whose depth network is the small one; nothing else is installed."""
    (tmp_path / "depth_model.pth").write_bytes(b"")
    monkeypatch.setattr(network_list, "depth_recipe", lambda _weights: recipe)
    monkeypatch.delenv("ENDOSFM3D_WEIGHTS", raising=False)
    for variable in ("ENDOSFM3D_TOOLS", "ENDOSFM3D_LRM"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    return str(tmp_path)


def test_build_reports_progress_time_parity_and_what_is_left_out(run, weights):
    first = run("build", "--weights", weights, "--backend", "openvino").output
    assert "small: building engine small (openvino f32)" in first
    assert "openvino f32, built in" in first
    assert "of torch" in first
    assert "left out no segmentation network" in first
    assert "from disk in" in run("build", "--weights", weights, "--backend", "openvino").output


def test_build_names_back_ends_that_were_refused(run, weights):
    arguments = "--backend", "tensorrt", "--backend", "openvino"
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed")
    output = run("build", "--weights", weights, *arguments).output
    assert "openvino f32, built" in output
    assert "refused tensorrt: TensorRT is not installed: pip install" in output


def test_build_without_weights_is_one_sentence(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("ENDOSFM3D_WEIGHTS", raising=False)
    monkeypatch.setenv("ENDOSFM3D_TOOLS", str(tmp_path / "nothing"))
    monkeypatch.setattr("endosfm3d_ros.sfm.endosfm3d.weights.files", lambda _: tmp_path)
    error = run("build").exception
    assert isinstance(error, ConfigurationError)
    assert "no EndoSfM3D weights are installed" in str(error)


@pytest.mark.skipif(not cuda_obstacle(), reason="this machine has a GPU")
def test_build_for_a_device_that_is_missing_is_one_sentence(run, weights):
    error = run("build", "--weights", weights, "--device", "cuda").exception
    assert isinstance(error, ConfigurationError)
    assert "no NVIDIA driver" in str(error)


def test_build_ahead_needs_no_gpu(run, weights):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    output = run("build", "--weights", weights, "--ahead").output
    assert "tensorrt_rtx f32, built in" in output
    assert "unchecked" in run("list").output


def test_check_compares_every_back_end_and_writes_a_report(run, weights, tmp_path):
    report = tmp_path / "check.json"
    result = run("check", "--weights", weights, "--report", str(report), "--rounds", "3")
    assert result.exit_code == 0, result.output
    content = json.loads(report.read_text())
    assert {"date", "hardware", "versions", "damaged", "engines"} == set(content)
    rows = content["engines"]
    row = rows["small_openvino_f32"]
    assert row["ok"]
    assert row["error"] < 1e-4
    assert row["p95_ms"] >= row["p50_ms"] > 0
    assert row["ratio_to"]["torch_f32"] > 0
    assert all(row["reason"] for row in rows.values() if not row["ok"])


def test_check_finds_damaged_files_and_exits_with_1(run, weights, settings):
    run("build", "--weights", weights, "--backend", "openvino")
    (path,) = settings.cache_dir.glob("*.engine")
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    result = run("check", "--weights", weights, "--rounds", "3")
    assert result.exit_code == 1
    assert "damaged" in result.output
    assert "checksum does not match" in result.output.replace("\n", " ")
    assert run("check", "--weights", weights, "--rounds", "3").exit_code == 0  # it was rebuilt


def test_int8_is_built_from_a_clip(run, weights, recipe, monkeypatch):
    pytest.importorskip("nncf", reason="nncf is not installed: pip install nncf")

    def prepare(images):
        return [
            {"image": image[:24, :40].transpose(2, 0, 1)[None].astype(np.float32) / 255}
            for image in images
        ]

    loose = recipe.tolerances | {"int8": 0.5}
    int8 = replace(recipe, prepare=prepare, tolerances=loose)
    monkeypatch.setattr(network_list, "depth_recipe", lambda _weights: int8)
    monkeypatch.setattr(network_list, "calibration_images", lambda _: generated_images(12))
    arguments = "--weights", weights, "--precision", "int8", "--backend", "openvino"
    refused = run("build", *arguments).exception
    assert "--calibrate CLIP" in str(refused)
    assert "openvino int8, built" in run("build", *arguments, "--calibrate", "a_clip").output
