"""TensorRT for RTX for real: it parses and builds without a GPU, so its engines are built here.

Loading and running one needs a card; that code runs on a stand-in in `test_tensorrt_code_path`.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch
from torch import nn

from endosfm3d_ros.engines import EngineSettings, obtain_engine
from endosfm3d_ros.engines.ahead import build_ahead
from endosfm3d_ros.engines.cache import EngineCache
from endosfm3d_ros.engines.device import cuda_obstacle
from endosfm3d_ros.engines.entry import read_entry
from endosfm3d_ros.engines.source import BackEndError, BuildSource
from endosfm3d_ros.engines.tensor_rt.builder import build_plan
from endosfm3d_ros.engines.tensor_rt.flavour import TENSORRT_RTX
from endosfm3d_ros.networks import DepthNetwork
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe_of
from endosfm3d_ros.sfm.endosfm3d.export import DepthLogits
from endosfm3d_ros.weights.installed_networks import generated_recipes

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install tensorrt-rtx"
)


def silent(_text):
    pass


@pytest.fixture
def settings(tmp_path):
    return EngineSettings(cache_dir=tmp_path / "engines")


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
def test_small_network_in_every_precision(make_recipe, settings, precision):
    recipe = make_recipe(full_precision=("linear",))
    _, card, cached = build_ahead(recipe, replace(settings, precision=precision), silent)
    assert not cached
    assert (card.backend, card.precision) == ("tensorrt_rtx", precision)
    assert card.inputs == recipe.inputs
    assert {spec.name: spec.shape for spec in card.outputs} == {
        "map": (1, 1, 24, 40),
        "vector": (1, 3),
    }
    assert {spec.dtype for spec in card.outputs} == {"float32"}
    assert build_ahead(recipe, replace(settings, precision=precision), silent)[2]


def test_flipped_byte_is_rebuilt(recipe, settings, caplog):
    path, card, _ = build_ahead(recipe, settings, silent)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    _, _, cached = build_ahead(recipe, settings, silent)
    assert not cached
    assert "is rebuilt" in caplog.text
    entry = read_entry(path, card.key)
    assert set(entry.reference) == {"map", "vector"}  # compared with torch at the first use


def test_an_unchecked_engine_is_listed_as_such(recipe, settings):
    build_ahead(recipe, settings, silent)
    ((_, card),) = EngineCache(settings.cache_dir).entries()
    assert card.errors == {}


@pytest.mark.skipif(not cuda_obstacle(), reason="this machine has a GPU")
def test_without_a_card_the_next_back_end_runs_and_says_so(recipe, settings, caplog):
    build_ahead(recipe, settings, silent)
    settings = replace(settings, backends=("tensorrt_rtx", "openvino"))
    engine = obtain_engine(recipe, settings)
    assert engine.info.backend == "openvino"
    assert "TensorRT for RTX needs CUDA: there is no NVIDIA driver" in engine.info.refused[0]
    assert "small does not run on tensorrt_rtx" in caplog.text


class Unsupported(nn.Module):
    """ONNX has the operation, TensorRT has not."""

    def forward(self, image):
        return torch.det(image[..., :3, :3])


def test_an_operation_that_it_lacks_is_one_readable_sentence(make_recipe):
    recipe = make_recipe(load=lambda: Unsupported().eval(), output_names=("x",))
    with pytest.raises(BackEndError, match="TensorRT for RTX cannot read the network") as caught:
        build_plan(TENSORRT_RTX, BuildSource(recipe).onnx(), silent)
    assert "\n" not in str(caught.value)
    assert ".cpp" not in str(caught.value)


@pytest.mark.parametrize("index", [0, 1, 2], ids=["depth", "pose", "segmentation"])
def test_the_real_networks_build(settings, index, caplog):
    """At full size; progress comes in words, the log keeps to warnings."""
    recipe, lines = generated_recipes()[index], []
    with caplog.at_level(logging.WARNING):
        _, card, _ = build_ahead(recipe, settings, lines.append)
    assert card.inputs == recipe.inputs
    assert tuple(spec.name for spec in card.outputs) == recipe.output_names
    assert lines[0] == f"building engine {recipe.name} (tensorrt_rtx f32)"
    assert "done in" in lines[-1]
    assert any("engine" in line or "graph" in line for line in lines[1:-1])
    assert not [record for record in caplog.records if ".cpp" in record.getMessage()]


def test_depth_in_half_precision_builds(settings):
    """With its head in float32; a small image, because tracing in half precision is slow."""
    size = 56, 70

    def load():
        return DepthLogits(fill_with_generated_weights(DepthNetwork()), size).eval()

    recipe = depth_recipe_of(load, size)
    _, card, _ = build_ahead(recipe, replace(settings, precision="bf16"), silent)
    assert [spec.name for spec in card.outputs] == ["logit", "coarse_logit"]
