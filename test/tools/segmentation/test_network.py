"""The package's network and networks of others, all with generated weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.engines.export import export_onnx
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.networks.lraspp import ToolNetwork
from endosfm3d_ros.networks.students import ToolStudent
from endosfm3d_ros.tools.segmentation import card as card_module
from endosfm3d_ros.tools.segmentation import mask_source
from endosfm3d_ros.tools.segmentation.card import STARTER, find_model
from endosfm3d_ros.tools.segmentation.network import NetworkSource, as_tensor
from endosfm3d_ros.types import Frame

SIZE = (64, 96)  # height, width


class RednessNetwork(nn.Module):
    """Two scores per pixel: what is not red is a tool. Works on both orders of the axes."""

    def __init__(self, channels=2, gain=20.0):
        super().__init__()
        self.channels, self.gain = channels, gain

    def forward(self, image):
        red = image[:, :1] - image[:, 1:2]
        return torch.cat([self.gain * (red - 0.1), self.gain * (0.1 - red)][: self.channels], 1)


def write_card(folder, **entries):
    (folder / "tools.json").write_text(json.dumps(entries))
    return str(folder)


@pytest.fixture
def settings(tmp_path):
    return EngineSettings(cache_dir=tmp_path / "cache", threads=1)


@pytest.fixture(scope="module")
def own_network():
    return fill_with_generated_weights(ToolNetwork())


def test_size_of_the_network(own_network):
    assert sum(p.numel() for p in own_network.parameters()) == pytest.approx(3.2e6, rel=0.02)
    names = own_network.state_dict()
    assert "backbone.4.block.2.fc1.weight" in names  # torchvision's names
    assert "classifier.cbr.0.weight" in names


def test_own_network_on_openvino_is_that_of_torch(tmp_path, settings, own_network, frame):
    save_file(own_network.state_dict(), tmp_path / "weights.safetensors")
    card = {"model": "weights.safetensors", "input_size": SIZE}
    source = mask_source("network", write_card(tmp_path, **card), settings)
    assert source._engine.info.backend == "openvino"
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), np.uint8)
    found = source.segment(frame(image))
    with torch.inference_mode():
        tool, parts = own_network(torch.from_numpy(as_tensor(image, source.card)))
    outputs = source._engine.run({"image": as_tensor(image, source.card)})
    assert np.abs(outputs["tool"] - tool.numpy()).max() < 1e-4
    assert np.abs(outputs["parts"] - parts.numpy()).max() < 1e-4
    assert found.probability.shape == (128, 192) and found.parts.max() <= 3
    assert (found.parts[found.mask] > 0).all() and not found.parts[~found.mask].any()


def model_file(folder, kind, network, size=SIZE):
    example = torch.zeros(1, 3, *size)
    if kind == "onnx":
        export_onnx(network, {"x": example.numpy()}, ("y",), folder / "model.onnx")
        return "model.onnx"
    torch.jit.trace(network, example).save(str(folder / "model.ts"))
    return "model.ts"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["onnx", "ts"])
@pytest.mark.parametrize("transposed", [False, True])
def test_networks_of_others(tmp_path, settings, frame, kind, transposed):
    size = SIZE[::-1] if transposed else SIZE
    model = model_file(tmp_path, kind, RednessNetwork(), size)
    card = {"model": model, "input_size": SIZE, "transposed": transposed, "runs_code": kind == "ts"}
    source = mask_source("network", write_card(tmp_path, **card), settings)
    image = np.full((128, 192, 3), (200, 60, 60), np.uint8)
    image[:40, 100:] = 150
    expected = np.zeros((128, 192), bool)
    expected[:40, 100:] = True
    found = source.segment(frame(image))
    assert (found.mask != expected).mean() < 0.02 and found.parts is None


def test_normalisation_and_order(tmp_path):
    (tmp_path / "model.onnx").touch()
    entries = {"mean": [0.5, 0, 0], "deviation": [0.25, 1, 1], "order": "bgr", "input_size": SIZE}
    _, card = find_model(write_card(tmp_path, model="model.onnx", **entries))
    tensor = as_tensor(np.full((*SIZE, 3), (255, 0, 51), np.uint8), card)
    assert tensor.shape == (1, 3, *SIZE)
    assert tensor[0, :, 0, 0] == pytest.approx([0.2, 0, 2])


def test_parts_of_a_card(tmp_path, settings, frame):
    network = RednessNetwork()
    card = {"input_size": SIZE, "channels": ["tissue", "wrist"], "threshold": 0.4}
    model = model_file(tmp_path, "onnx", network)
    source = mask_source("network", write_card(tmp_path, model=model, **card), settings)
    image = np.full((*SIZE, 3), (200, 60, 60), np.uint8)
    image[:20] = 150
    found = source.segment(frame(image))
    assert set(np.unique(found.parts)) == {0, 2} and found.mask[:19].all()


def test_numbers_that_are_not_finite_make_a_frame_unusable(tmp_path, settings, frame):
    class Logarithm(RednessNetwork):
        def forward(self, image):
            return super().forward(image) + torch.log(image[:, :1])

    model = model_file(tmp_path, "onnx", Logarithm())
    source = mask_source("network", write_card(tmp_path, model=model, input_size=SIZE), settings)
    image = np.full((*SIZE, 3), 100, np.uint8)
    image[..., 0] = 200
    assert source.segment(frame(image)).usable
    image[:30] = 0
    found = source.segment(frame(image))
    assert not found.usable and "finite" in found.reason


def test_a_network_that_returns_other_channels_is_refused(tmp_path, settings):
    model = model_file(tmp_path, "onnx", RednessNetwork(channels=1))
    folder = write_card(tmp_path, model=model, input_size=SIZE)
    with pytest.raises(ConfigurationError, match="names 2 channels"):
        mask_source("network", folder, settings)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["model.onnx", "model.ts", "weights.safetensors"])
def test_files_that_are_no_models(tmp_path, settings, name):
    (tmp_path / name).write_bytes(b"nothing of the kind" * 10)
    with pytest.raises(ConfigurationError, match=name):
        mask_source("network", write_card(tmp_path, model=name, runs_code=True), settings)


def test_weights_of_another_network(tmp_path, settings):
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigurationError, match="lacks tensors"):
        mask_source("network", write_card(tmp_path, model="w.safetensors"), settings)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"input_size": [4, 4]}, "sides of 32"),
        ({"input_size": 256}, "input_size"),
        ({"deviation": [1, 0, 1]}, "positive"),
        ({"channels": ["tissue", "banana"]}, "banana"),
        ({"channels": ["tissue", "other"]}, "must be a tool"),
        ({"channels": ["tool"]}, "sigmoid"),
        ({"activation": "relu"}, "activation"),
        ({"threshold": 2}, "threshold"),
        ({"colour": "rgb"}, "colour"),
        ({"model": "model.bin"}, "none of"),
        ({"model": "other.onnx"}, "not beside it"),
    ],
)
def test_card_errors_name_the_value(tmp_path, entries, reason):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ConfigurationError, match=reason):
        find_model(write_card(tmp_path, **({"model": "model.onnx"} | entries)))


@pytest.mark.parametrize("text", ["", "[]", "{not json", "3"])
def test_cards_that_are_no_json(tmp_path, text):
    (tmp_path / "tools.json").write_text(text)
    with pytest.raises(ConfigurationError, match="must hold JSON"):
        find_model(str(tmp_path))


def test_no_card(tmp_path, monkeypatch):
    monkeypatch.setenv("ENDOSFM3D_TOOLS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="choose the mask source 'colour'"):
        find_model()


def test_small_network_is_told_by_its_card(tmp_path, settings, frame):
    network = fill_with_generated_weights(ToolStudent())
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    card = {"model": "weights.safetensors", "network": "unet", "input_size": SIZE}
    source = mask_source("network", write_card(tmp_path, **card), settings)
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), np.uint8)
    tensor = as_tensor(image, source.card)
    with torch.inference_mode():
        tool, parts = network(torch.from_numpy(tensor))
    outputs = source._engine.run({"image": tensor})
    assert np.abs(outputs["tool"] - tool.numpy()).max() < 1e-3
    assert np.abs(outputs["parts"] - parts.numpy()).max() < 1e-3
    assert source.segment(frame(image)).mask.shape == (128, 192)
    with pytest.raises(ConfigurationError, match="multiples of 32"):
        mask_source("network", write_card(tmp_path, **card | {"input_size": (48, 96)}), settings)


def test_the_packages_own_network_is_the_last_choice(tmp_path, monkeypatch):
    home, package = tmp_path / "home", tmp_path / "package"
    monkeypatch.delenv("ENDOSFM3D_TOOLS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setattr(card_module, "STARTER", package)
    with pytest.raises(ConfigurationError, match="no segmentation network"):
        find_model()
    for folder in (package, home / "endosfm3d" / "tools"):
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").touch()
        write_card(folder, model="weights.safetensors")
        assert find_model()[0].parent == folder


def test_grey_pictures_are_refused_by_a_network_that_knows_coloured_ones():
    """Row: of a grey picture 62 to 76 % became instrument, without a word."""
    source = NetworkSource(str(STARTER))
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(40, 200, (128, 160, 1)), 3, axis=2)
    noisy = np.clip(grey + rng.integers(-2, 3, grey.shape), 0, 255).astype(np.uint8)
    for image in (grey.astype(np.uint8), noisy):
        found = source.segment(Frame(0, image))
        assert not found.usable and "grey" in found.reason and not found.mask.any()
    coloured = noisy.copy()
    coloured[..., 1:] //= 2
    assert "grey" not in source.segment(Frame(0, coloured)).reason
