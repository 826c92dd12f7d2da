"""ONNX files: static shapes that were compared with torch, names, a model card, no noise."""

from __future__ import annotations

import hashlib
import json
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from endosfm3d_ros.engines.export import OPSET, export_onnx
from endosfm3d_ros.errors import ConfigurationError

NAMES = ("map", "vector")


def shape_of(value):
    return [axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_file_computes_what_torch_does(network, tmp_path, image):
    path = tmp_path / "small.onnx"
    export_onnx(network, image, NAMES, path)
    answers = ReferenceEvaluator(onnx.load(path)).run(None, image)
    with torch.no_grad():
        expected = network(torch.from_numpy(image["image"]))
    for answer, reference in zip(answers, expected):
        np.testing.assert_allclose(answer, reference.numpy(), rtol=1e-4, atol=1e-6)


def test_names_shapes_and_opset_are_stated(network, tmp_path, image):
    path = tmp_path / "small.onnx"
    export_onnx(network, image, NAMES, path)
    model = onnx.load(path)
    assert model.opset_import[0].version == OPSET == 18
    assert {v.name: shape_of(v) for v in model.graph.input} == {"image": [1, 3, 24, 40]}
    assert {v.name: shape_of(v) for v in model.graph.output} == {
        "map": [1, 1, 24, 40],
        "vector": [1, 3],
    }
    assert {tensor.data_type for tensor in model.graph.initializer} == {onnx.TensorProto.FLOAT}


def test_card_lies_beside_the_file(network, tmp_path, image):
    path = tmp_path / "small.onnx"
    export_onnx(network, image, NAMES, path, source="abc", description={"input": "RGB"})
    card = json.loads((tmp_path / "small.json").read_text())
    assert card["source"] == "abc"
    assert card["description"] == {"input": "RGB"}
    assert card["opset"] == 18
    assert card["precision"] == "f32"
    assert [spec["shape"] for spec in card["outputs"]] == [[1, 1, 24, 40], [1, 3]]
    assert card["onnx_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_export_is_silent(network, tmp_path, image, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(network, image, NAMES, tmp_path / "small.onnx")
    assert capfd.readouterr() == ("", "")


class Attention(nn.Module):
    """Torch's own attention layer, which takes a fused path outside of an export."""

    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, tokens):
        return self.layer(tokens, tokens, tokens, need_weights=False)[0]


def test_attention_layers_can_be_exported(tmp_path):
    layer = Attention().eval()
    tokens = {"tokens": np.random.default_rng(0).random((1, 6, 16), np.float32)}
    export_onnx(layer, tokens, ("out",), tmp_path / "attention.onnx")
    answer = ReferenceEvaluator(onnx.load(tmp_path / "attention.onnx")).run(None, tokens)[0]
    with torch.no_grad():
        expected = layer(torch.from_numpy(tokens["tokens"])).numpy()
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()


class OtherSizeInTrace(nn.Module):
    """Answers with another size while it is traced: the export itself succeeds."""

    def forward(self, image):
        return image[..., :8] if torch.onnx.is_in_onnx_export() else image


def test_a_trace_of_another_shape_is_refused(tmp_path, image):
    with pytest.raises(ConfigurationError, match=r"\(1, 3, 24, 8\).*\(1, 3, 24, 40\)"):
        export_onnx(OtherSizeInTrace(), image, ("out",), tmp_path / "wrong.onnx")


def test_a_wrong_number_of_names_is_refused(network, tmp_path, image):
    with pytest.raises(ConfigurationError, match="2 outputs, 1 names"):
        export_onnx(network, image, ("map",), tmp_path / "wrong.onnx")
