"""Choice of the back end: the parity gate, the loud fallback, and what users are told."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from endosfm3d_ros.engines import obtain, obtain_engine
from endosfm3d_ros.engines.backend import BackEndError, backend_names, find_backend
from endosfm3d_ros.engines.backends import openvino
from endosfm3d_ros.engines.progress import Cancelled, still_working
from endosfm3d_ros.engines.settings import PREFERRED
from endosfm3d_ros.errors import ConfigurationError, InputError


def use_backend(monkeypatch, backend):
    """Let `backend` stand where OpenVINO is."""
    original = find_backend
    monkeypatch.setattr(
        obtain, "find_backend", lambda name: backend if name == "openvino" else original(name)
    )


class Distorting(openvino.OpenVinoBackEnd):
    """Builds engines whose answers were changed."""

    def __init__(self, change):
        self.change = change

    def build(self, source, settings, precision):
        engine = super().build(source, settings, precision)
        execute = engine._execute
        engine._execute = lambda inputs: {k: self.change(v) for k, v in execute(inputs).items()}
        return engine


CHANGES = {
    "scaled by 1 %": lambda v: v * 1.01,
    "shifted": lambda v: v + 0.1,
    "not a number": lambda v: v * np.nan,
    "another size": lambda v: v[..., :-1],
    "one pixel infinite": lambda v: np.where(v == v.max(), np.inf, v),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_engine_that_computes_something_else_is_refused(
    recipe, settings, image, caplog, monkeypatch, change
):
    use_backend(monkeypatch, Distorting(change))
    engine = obtain_engine(recipe, settings)
    assert engine.info.backend == "torch"
    assert "differs from torch" in engine.info.refused[0]
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert "small does not run on openvino" in record.getMessage()
    assert not list(settings.cache_dir.glob("*.engine"))
    with torch.no_grad():
        expected = recipe.load()(torch.from_numpy(image["image"]))[0]
    np.testing.assert_allclose(engine.run(image)["map"], expected.numpy(), rtol=1e-5)


def test_errors_within_the_tolerance_are_kept(recipe, settings, monkeypatch):
    use_backend(monkeypatch, Distorting(lambda v: v * (1 + 5e-5)))
    built = obtain_engine(recipe, settings)
    assert built.info.backend == "openvino"
    assert built.info.errors["map"] == pytest.approx(5e-5, rel=0.05)


def test_missing_package_is_named_and_torch_taken(recipe, settings, caplog, monkeypatch):
    class Missing(openvino.OpenVinoBackEnd):
        def version(self):
            raise BackEndError("the package openvino is not installed: pip install openvino")

    use_backend(monkeypatch, Missing())
    engine = obtain_engine(recipe, settings)
    assert engine.info.backend == "torch"
    assert "pip install openvino" in caplog.text


def test_without_an_alternative_it_is_an_error(recipe, settings, monkeypatch):
    use_backend(monkeypatch, Distorting(lambda v: v * 2))
    with pytest.raises(ConfigurationError, match=r"no engine for network 'small'.*differs"):
        obtain_engine(recipe, replace(settings, backends=("openvino",)))


class Unsupported(nn.Module):
    """Uses an operation that no ONNX version has."""

    def forward(self, image):
        return torch.linalg.svdvals(image)


def test_network_that_cannot_be_exported_runs_in_torch(make_recipe, settings, caplog):
    recipe = make_recipe(load=lambda: Unsupported().eval(), output_names=("values",))
    engine = obtain_engine(recipe, settings)
    assert engine.info.backend == "torch"
    assert "does not run on openvino: no ONNX export" in caplog.text


def test_weights_that_answer_nan_are_unusable(make_recipe, settings):
    def load():
        network = make_recipe().load()
        network.linear.bias.data[0] = float("nan")
        return network

    with pytest.raises(InputError, match=r"output 'vector' is not finite.*unusable"):
        obtain_engine(make_recipe(load=load), settings)


def test_errors_of_the_loader_are_not_hidden_by_the_fallback(make_recipe, settings, caplog):
    def load():
        raise ConfigurationError("weights file depth_model.pth does not exist")

    with pytest.raises(ConfigurationError, match=r"^weights file depth_model.pth does not exist$"):
        obtain_engine(make_recipe(load=load), settings)
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backends": ("openvimo",)}, "'openvimo': accepted are onnxruntime, openvino, "),
        ({"precision": "fp16"}, "'fp16': openvino, torch accept f32, bf16, int8"),
        ({"backends": ("torch",), "precision": "bf16"}, "torch accept f32"),
    ],
)
def test_unknown_choices_are_rejected(recipe, settings, change, words):
    with pytest.raises(ConfigurationError, match=words):
        obtain_engine(recipe, replace(settings, **change))


def test_bf16_falls_to_f32_where_the_processor_lacks_it(recipe, settings, caplog, monkeypatch):
    class Core:
        def get_property(self, *_):
            return ["FP32"]

    monkeypatch.setattr(openvino.OpenVinoBackEnd, "_core", Core())
    assert find_backend("openvino").precision("bf16") == "f32"
    assert "no bfloat16" in caplog.text


def test_every_back_end_is_found_by_its_name():
    assert set(backend_names()) == {name for names in PREFERRED.values() for name in names}
    assert [find_backend(name).name for name in backend_names()] == backend_names()


def test_progress_is_reported(recipe, settings):
    lines = []
    obtain_engine(recipe, settings, report=lines.append)
    assert lines[0] == "building engine small (openvino f32)"
    assert "done in" in lines[-1]


def test_a_long_step_keeps_giving_signs():
    lines = []
    with still_working(lines.append, "building", interval=0.02):
        time.sleep(0.2)
    assert lines[0] == "building"
    assert len([line for line in lines if "so far" in line]) >= 3
    assert re.search(r"done in 0\.\d s", lines[-1])


def test_a_step_that_fails_is_not_called_done():
    lines = []
    with pytest.raises(ValueError), still_working(lines.append, "building"):
        raise ValueError
    assert lines == ["building"]


def test_a_cancelled_build_stops_before_the_next_step(make_recipe, settings):
    """What was finished stays on disk; the engine after it is not begun."""
    lines, cancelled = [], False

    def report(line):
        lines.append(line)
        if cancelled:
            raise Cancelled("enough")

    obtain_engine(make_recipe(), settings, report)
    cancelled = True
    with pytest.raises(Cancelled):
        obtain_engine(make_recipe(fingerprint="weights-2"), settings, report)
    assert lines[-1].startswith("building engine")
    assert len(list(settings.cache_dir.glob("*.engine"))) == 1
    cancelled = False
    assert obtain_engine(make_recipe(), settings, report).info.cached


def test_an_engine_that_is_done_when_the_cancellation_comes_is_kept(recipe, settings):
    def report(line):
        if "done in" in line:
            raise Cancelled("enough")

    assert not obtain_engine(recipe, settings, report).info.cached
    assert obtain_engine(recipe, settings).info.cached


def test_a_change_of_scale_is_refused(make_recipe, settings, monkeypatch, caplog):
    """Within the tolerance of the values, outside that of the depth: clouds would jump in size."""
    use_backend(monkeypatch, Distorting(lambda v: v * 1.02))
    loose = {"f32": 0.1, "bf16": 0.1, "f16": 0.1, "int8": 0.1}
    recipe = make_recipe(tolerances=loose, depth=lambda outputs: outputs["map"] + 1e-3)
    engine = obtain_engine(recipe, settings)
    assert engine.info.backend == "torch"
    assert "its depth is" in engine.info.refused[0]
    assert engine.info.scale_error == 0
    assert "scale within" in engine.info.parity


def test_refused_precision_is_followed_by_f32_of_the_same_back_end(
    make_recipe, settings, monkeypatch
):
    if find_backend("openvino").precision("bf16") != "bf16":
        pytest.skip("this processor has no bfloat16")
    recipe = make_recipe(tolerances={"f32": 1e-4, "bf16": 0.0})
    engine = obtain_engine(recipe, replace(settings, precision="bf16"))
    assert (engine.info.backend, engine.info.precision) == ("openvino", "f32")
    assert "openvino bf16" in engine.info.refused[0]
