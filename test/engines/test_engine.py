"""The engine interface: names, shapes and types are checked; threads do not disturb each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from endosfm3d_ros.engines import EngineSettings, obtain_engine
from endosfm3d_ros.errors import ConfigurationError, InputError


@pytest.fixture(params=["torch", "openvino", "onnxruntime"])
def engine(request, recipe, settings):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return obtain_engine(recipe, replace(settings, backends=(request.param,)))


def test_outputs_are_those_of_the_network(engine, recipe, image):
    with torch.no_grad():
        expected = recipe.load()(torch.from_numpy(image["image"]))
    outputs = engine.run(image)
    assert list(outputs) == ["map", "vector"]
    for value, reference in zip(outputs.values(), expected):
        np.testing.assert_allclose(value, reference.numpy(), rtol=1e-4, atol=1e-6)


def test_specifications_describe_the_arrays(engine, image):
    outputs = engine.run(image)
    assert {spec.name: spec.shape for spec in engine.outputs} == {
        name: value.shape for name, value in outputs.items()
    }
    assert {value.dtype for value in outputs.values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "this network takes"),
        ({"picture": np.zeros((1, 3, 24, 40), np.float32)}, "picture"),
        ({"image": np.zeros((1, 3, 40, 24), np.float32)}, r"\[1, 3, 24, 40\]"),
        ({"image": np.zeros((1, 3, 24, 40), np.float64)}, "float64"),
    ],
)
def test_wrong_inputs_are_named(engine, inputs, words):
    with pytest.raises(InputError, match=words):
        engine.run(inputs)


def test_a_view_with_strides_gives_the_same(engine, image):
    plain = engine.run(image)
    channels_last = np.ascontiguousarray(image["image"].transpose(0, 2, 3, 1))
    strided = engine.run({"image": channels_last.transpose(0, 3, 1, 2)})
    np.testing.assert_array_equal(plain["map"], strided["map"])


def test_outputs_belong_to_the_caller(engine, image):
    first = engine.run(image)
    kept = first["map"].copy()
    engine.run({"image": image["image"] * 0})
    np.testing.assert_array_equal(first["map"], kept)


def test_threads_get_their_own_answers(engine):
    images = np.random.default_rng(2).random((8, 1, 3, 24, 40), np.float32)
    expected = [engine.run({"image": image})["map"] for image in images]

    def run(i):
        return i % 8, engine.run({"image": images[i % 8]})["map"]

    with ThreadPoolExecutor(4) as threads:
        for index, answer in threads.map(run, range(200)):
            np.testing.assert_array_equal(answer, expected[index])


def test_warm_up_needs_no_input(engine):
    engine.warm_up()


def test_threads_are_configurable(recipe, settings):
    engine = obtain_engine(recipe, replace(settings, threads=1))
    assert engine.model.get_property("INFERENCE_NUM_THREADS") == 1
    restored = obtain_engine(recipe, replace(settings, threads=2))
    assert restored.info.cached
    assert restored.model.get_property("INFERENCE_NUM_THREADS") == 2


def test_precision_is_never_left_to_the_runtime(recipe, settings):
    for _ in ("built", "restored"):
        engine = obtain_engine(recipe, settings)
        assert engine.model.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


@pytest.mark.parametrize("fields", [{"threads": -1}, {"backends": ()}])
def test_impossible_settings_are_rejected(fields):
    with pytest.raises(ConfigurationError):
        EngineSettings(**fields)
