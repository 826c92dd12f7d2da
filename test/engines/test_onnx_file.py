"""ONNX files that somebody else made: fixed, renamed, compared, cached like any other network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import helper, numpy_helper

from endosfm3d_ros.engines import NetworkRecipe, TensorSpec, obtain_engine, onnx_file
from endosfm3d_ros.engines.onnx_file import fixed_onnx, run_onnx
from endosfm3d_ros.errors import ConfigurationError

SHAPE = (1, 3, 24, 40)


@pytest.fixture
def path(tmp_path):
    """A file with names of its own, free height and width, and our output's name inside it."""
    weight = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input.1", "weight"], ["scores"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["scores"], ["495"]),
    ]
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("input.1", onnx.TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("495", onnx.TensorProto.FLOAT, [1, 2, "h", "w"])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path / "theirs.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def theirs(path):
    return NetworkRecipe(
        "theirs",
        (TensorSpec("image", SHAPE),),
        ("scores",),
        fingerprint="1",
        load=None,
        onnx=lambda: fixed_onnx(path, "image", SHAPE, "scores"),
    )


def test_names_and_shape_are_ours(path):
    model = onnx.load_from_string(fixed_onnx(path, "image", SHAPE, "scores"))
    (given,), (taken,) = model.graph.output, model.graph.input
    assert (taken.name, given.name) == ("image", "scores")
    assert [axis.dim_value for axis in taken.type.tensor_type.shape.dim] == list(SHAPE)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_reference_of_either_runtime_is_the_same(path, image, monkeypatch, runtime):
    pytest.importorskip(runtime, reason=f"{runtime} is not installed")
    monkeypatch.setattr(onnx_file, "find_spec", lambda _: runtime == "onnxruntime" or None)
    model = fixed_onnx(path, "image", SHAPE, "scores")
    (answer,) = run_onnx(model, [image])
    expected = onnx.reference.ReferenceEvaluator(onnx.load_from_string(model)).run(None, image)[0]
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-4, atol=1e-5)


def test_it_is_compared_and_cached(theirs, settings):
    first = obtain_engine(theirs, settings).info
    assert (first.backend, first.cached) == ("openvino", False)
    assert first.errors["scores"] < 1e-5
    assert obtain_engine(theirs, settings).info.cached


def test_bf16_comes_from_the_same_file(theirs, settings):
    info = obtain_engine(theirs, replace(settings, precision="bf16")).info
    assert info.backend == "openvino"


def test_torch_cannot_run_it(theirs, settings):
    with pytest.raises(ConfigurationError, match="is an ONNX file, torch cannot run it"):
        obtain_engine(theirs, replace(settings, backends=("torch",)))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 4, 24, 40), r"takes \[1, 3, None, None\], its card says \[1, 4, 24, 40\]")],
)
def test_another_shape_than_the_file_takes_is_refused(path, shape, words):
    with pytest.raises(ConfigurationError, match=words):
        fixed_onnx(path, "image", shape, "scores")


@pytest.mark.parametrize("content", [b"", b"not ONNX", b"\x08\x08"], ids=["empty", "text", "part"])
def test_what_is_no_onnx_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"broken.onnx is no readable ONNX file") as caught:
        fixed_onnx(path, "image", SHAPE, "scores")
    assert "\n" not in str(caught.value)
