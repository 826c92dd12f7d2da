"""Exports in half precision and int8 engines: types, what stays float32, and how exact they are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from endosfm3d_ros.engines import EngineSettings, NetworkRecipe, TensorSpec, obtain_engine
from endosfm3d_ros.engines.calibration import varied
from endosfm3d_ros.engines.export import export_onnx
from endosfm3d_ros.engines.half import in_precision
from endosfm3d_ros.engines.source import BuildSource
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks import DepthNetwork
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe_of
from endosfm3d_ros.sfm.endosfm3d.export import DepthLogits
from endosfm3d_ros.weights.installed_networks import generated_images

FLOAT, HALF, BFLOAT = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16


def types_of(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


@pytest.mark.parametrize(("precision", "wanted"), [("f16", HALF), ("bf16", BFLOAT)])
def test_weights_are_halved_apart_from_what_must_not_be(
    network, image, tmp_path, precision, wanted
):
    path = tmp_path / "small.onnx"
    card = export_onnx(
        network, image, ("map", "vector"), path, precision=precision, full_precision=("linear",)
    )
    model = onnx.load(path)
    for name, kind in types_of(model).items():
        assert kind == (FLOAT if "linear" in name else wanted), name
    values = (*model.graph.input, *model.graph.output)
    assert {value.type.tensor_type.elem_type for value in values} == {FLOAT}
    assert (card.precision, card.full_precision) == (precision, ("linear",))


def test_the_module_itself_is_not_changed(network):
    halved = in_precision(network, "f16", ())
    assert {p.dtype for p in halved.parameters()} == {torch.float16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert in_precision(network, "f32", ()) is network


def test_depth_in_half_precision_on_onnx_runtime(tmp_path):
    """The export that TensorRT gets, run for real where there is no TensorRT."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install it")
    size = 56, 70  # px; half precision is slow on a processor

    def load():
        return DepthLogits(fill_with_generated_weights(DepthNetwork()), size).eval()

    recipe = depth_recipe_of(load, size)
    settings = EngineSettings(backends=("onnxruntime",), precision="f16", cache_dir=tmp_path)
    info = obtain_engine(recipe, settings).info
    assert (info.backend, info.precision) == ("onnxruntime", "f16")
    assert max(info.errors.values()) < 2e-3
    assert info.scale_error < 5e-3
    types = types_of(onnx.load_from_string(BuildSource(recipe).onnx("f16")))
    head = {kind for name, kind in types.items() if ".head." in name}
    trunk = {kind for name, kind in types.items() if ".backbone." in name}
    assert head == {FLOAT}
    assert HALF in trunk


def patches(images):
    return [{"image": image[:24, :40].transpose(2, 0, 1)[None].astype(np.float32) / 255}
            for image in images]  # fmt: skip


class Deep(nn.Module):
    """Enough convolutions that int8 differs from float."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(c, 16, 3, padding=1), nn.ReLU()) for c in (3, 16, 16)),
            nn.Conv2d(16, 1, 1),
        )

    def forward(self, image):
        return 1 + self.layers(image).abs()


@pytest.fixture
def int8_recipe():
    return NetworkRecipe(
        "deep",
        (TensorSpec("image", (1, 3, 24, 40)),),
        ("depth",),
        "1",
        load=lambda: Deep().eval(),
        prepare=patches,
        depth=lambda outputs: outputs["depth"],
    )


@pytest.fixture
def int8(settings):
    pytest.importorskip("nncf", reason="nncf is not installed: pip install nncf")
    return replace(settings, precision="int8", calibration=partial(generated_images, 12))


def test_int8_is_calibrated_checked_and_found_again_without_images(int8_recipe, int8):
    built = obtain_engine(int8_recipe, int8).info
    assert (built.backend, built.precision, built.cached) == ("openvino", "int8", False)
    assert 1e-6 < max(built.errors.values()) < 5e-2
    assert built.scale_error < 2e-2
    again = obtain_engine(int8_recipe, replace(int8, calibration=None)).info
    assert (again.precision, again.cached) == ("int8", True)
    assert again.errors == pytest.approx(built.errors, rel=0.2)


def test_int8_without_images_says_what_to_run(int8_recipe, int8):
    with pytest.raises(ConfigurationError, match=r"engines build --precision int8 --calibrate"):
        obtain_engine(int8_recipe, replace(int8, calibration=None))


def test_too_few_images_are_refused(int8_recipe, int8):
    with pytest.raises(ConfigurationError, match="8 images to calibrate int8 on: more than 8"):
        obtain_engine(int8_recipe, replace(int8, calibration=partial(generated_images, 8)))


def test_a_network_without_int8_runs_in_bf16(recipe, int8):
    info = obtain_engine(recipe, int8).info
    assert info.precision in ("bf16", "f32")  # the latter on processors without bf16


def test_without_nncf_f32_runs_and_says_so(int8_recipe, int8, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nncf", None)
    info = obtain_engine(int8_recipe, int8).info
    assert (info.backend, info.precision) == ("openvino", "f32")
    assert "pip install nncf" in info.refused[0]


def test_calibration_images_are_varied_apart_from_the_last():
    images = [np.full((20, 30, 3), 128, np.uint8)] * 9
    made = varied(images)
    assert [image.shape for image in made] == [(20, 30, 3)] * 9
    assert {image.dtype for image in made} == {np.dtype(np.uint8)}
    corners = [int(image[0, 0, 0]) for image in made]
    centres = [int(image[10, 15, 0]) for image in made]
    assert corners == [128, 0, 181, 0, 128, 0, 181, 0, 128]
    assert centres == [128, 128, 181, 64, 128, 128, 181, 64, 128]
