"""Every published layout of the weights loads to the same network; wrong files say what is wrong.

Most tests shrink the depth network, which changes shapes but no names.
"""

import json
import os
import re

import pytest
import safetensors.torch
import torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks import (
    DepthNetwork,
    DepthNetworkConfig,
    PoseNetwork,
    checkpoints,
    load_depth_network,
    load_pose_network,
)
from endosfm3d_ros.networks.checkpoint_keys import (
    DEPTH_KEYS,
    POSE_DECODER_KEYS,
    POSE_ENCODER_KEYS,
)
from endosfm3d_ros.networks.dinov2 import Dinov2Config
from endosfm3d_ros.networks.dora import DoRAConfig, attach_adapters

TINY = DepthNetworkConfig(
    backbone=Dinov2Config(width=16, heads=2, layers=4, trained_grid=5, output_layers=(1, 2, 3, 4)),
    neck_channels=(4, 4, 8, 8),
    fusion_channels=8,
    head_channels=4,
)
PEFT = "backbone.base_model.model."
TO_TRANSFORMERS_5 = [
    (r"attention\.attention\.query", "attention.q_proj"),
    (r"attention\.attention\.key", "attention.k_proj"),
    (r"attention\.attention\.value", "attention.v_proj"),
    (r"attention\.output\.dense", "attention.o_proj"),
]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(checkpoints, "DepthNetwork", lambda: DepthNetwork(TINY))


def random_network(adapted):
    """A tiny depth network with random weights, with adapters beside them or merged."""
    torch.manual_seed(3)
    network = DepthNetwork(TINY)
    if adapted:
        attach_adapters(network, DoRAConfig(dropout=0.0))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
            if name.endswith("magnitude"):
                parameter.copy_(0.5 + torch.rand_like(parameter))
    return network.eval()


def hugging_face(network):
    """Tensors as transformers 4 names them, with the mask token that no forward pass uses."""
    tensors = {DEPTH_KEYS.published(key): value for key, value in network.state_dict().items()}
    return tensors | {"backbone.embeddings.mask_token": torch.zeros(1, 16)}


def released(network, magnitude=".lora_magnitude_vector.default.weight"):
    """Tensors as `depth_model.pth` names them."""
    tensors = {}
    for key, value in hugging_face(network).items():
        name = re.sub(r"\.lora_([AB])$", r".lora_\1.default.weight", key)
        name = re.sub(r"\.magnitude$", magnitude, name)
        name = re.sub(r"(attention\.(query|value))\.(weight|bias)$", r"\1.base_layer.\3", name)
        tensors[name.replace("backbone.", PEFT, 1)] = value
    return tensors


def renamed(tensors, rules):
    for pattern, replacement in rules:
        tensors = {re.sub(pattern, replacement, key): value for key, value in tensors.items()}
    return tensors


def assert_same_network(loaded, network, tolerance=1e-6):
    image = torch.rand(1, 3, 70, 84, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.logit(image), network.logit(image), rtol=tolerance, atol=tolerance
        )
    assert not loaded.training


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["depth_model.pth", "depth.pth", "full_model.pth"])
def test_official_folder(tmp_path, name):
    network = random_network(adapted=True)
    torch.save(released(network), tmp_path / name)
    (tmp_path / "opt.json").write_text("no JSON at all")
    torch.save({"step": 1}, tmp_path / "adam.pth")
    assert_same_network(load_depth_network(tmp_path), network, tolerance=1e-5)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("magnitude", ["", ".default", ".default.weight", ".weight"])
def test_names_of_the_magnitude_in_every_version_of_peft(tmp_path, magnitude):
    network = random_network(adapted=True)
    torch.save(released(network, ".lora_magnitude_vector" + magnitude), tmp_path / "depth.pth")
    assert_same_network(load_depth_network(tmp_path), network, tolerance=1e-5)


@pytest.mark.usefixtures("tiny")
def test_names_of_transformers_5_behind_data_parallel(tmp_path):
    network = random_network(adapted=True)
    tensors = renamed(released(network), [*TO_TRANSFORMERS_5, (r"^", "module.")])
    assert any(".attention.q_proj.base_layer.weight" in key for key in tensors)
    torch.save(tensors, tmp_path / "depth_model.pth")
    assert_same_network(load_depth_network(tmp_path), network, tolerance=1e-5)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("rules", [[], TO_TRANSFORMERS_5])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_plain_hugging_face_weights_as_folder_and_as_file(tmp_path, name, rules):
    network = random_network(adapted=False)
    tensors = renamed(hugging_face(network), rules)
    save = safetensors.torch.save_file if name.endswith("safetensors") else torch.save
    save(tensors, tmp_path / name)
    assert_same_network(load_depth_network(tmp_path), network)
    assert_same_network(load_depth_network(tmp_path / name), network)


@pytest.mark.usefixtures("tiny")
def test_half_precision_file_is_widened(tmp_path):
    network = random_network(adapted=False)
    halves = {key: value.half() for key, value in hugging_face(network).items()}
    safetensors.torch.save_file(halves, tmp_path / "model.safetensors")
    loaded = load_depth_network(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert_same_network(loaded, network, tolerance=2e-2)


def write_adapter_folder(folder, network, alpha=16):
    """What `save_parameters` writes: adapter and head; returns the tensors of the base."""
    tensors = hugging_face(network)
    adapter, base = {}, {}
    for key, value in tensors.items():
        short = key.replace("backbone.", "base_model.model.", 1)
        if key.endswith((".lora_A", ".lora_B")):
            adapter[short + ".weight"] = value
        elif key.endswith(".magnitude"):
            adapter[short.replace(".magnitude", ".lora_magnitude_vector")] = value
        else:
            base[key] = value
    safetensors.torch.save_file(adapter, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "use_dora": True, "r": 14, "lora_alpha": alpha}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    head = {key.removeprefix("head."): v for key, v in base.items() if key.startswith("head.")}
    torch.save(head, folder / "head.pth")
    return base | {key: torch.zeros_like(v) for key, v in base.items() if key.startswith("head.")}


@pytest.mark.usefixtures("tiny")
def test_adapter_folder_over_a_base_file(tmp_path):
    network = random_network(adapted=True)
    base = write_adapter_folder(tmp_path, network)
    with pytest.raises(ConfigurationError, match="needs its base"):
        load_depth_network(tmp_path)
    other = tmp_path / "base"
    other.mkdir()
    torch.save(base, other / "pytorch_model.bin")
    assert_same_network(load_depth_network(tmp_path, other), network, tolerance=1e-5)
    assert_same_network(
        load_depth_network(tmp_path, other / "pytorch_model.bin"), network, tolerance=1e-5
    )
    safetensors.torch.save_file(base, tmp_path / "model.safetensors")
    assert_same_network(load_depth_network(tmp_path), network, tolerance=1e-5)


@pytest.mark.usefixtures("tiny")
def test_alpha_of_an_adapter_folder_is_read(tmp_path):
    network = random_network(adapted=True)
    base = write_adapter_folder(tmp_path, network, alpha=4)
    safetensors.torch.save_file(base, tmp_path / "model.safetensors")
    for module in network.modules():
        if hasattr(module, "scaling"):
            module.scaling = 4 / 14
    assert_same_network(load_depth_network(tmp_path), network, tolerance=1e-5)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lora_alpha": 16, "use_rslora": True}, "use_rslora"),
        ({"r": 14}, "lora_alpha"),
        ([], "lora_alpha"),
    ],
)
def test_other_adapters_are_refused(tmp_path, config, message):
    base = write_adapter_folder(tmp_path, random_network(adapted=True))
    safetensors.torch.save_file(base, tmp_path / "model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match=message):
        load_depth_network(tmp_path)


@pytest.mark.usefixtures("tiny")
def test_missing_extra_and_misshaped_tensors_are_named(tmp_path):
    tensors = hugging_face(random_network(adapted=False))
    tensors.pop("head.conv3.bias")
    tensors["neck.unknown.weight"] = torch.zeros(1)
    key = "backbone.encoder.layer.2.mlp.fc1.weight"
    tensors[key] = torch.zeros(3, 3)
    torch.save(tensors, tmp_path / "depth.pth")
    with pytest.raises(ConfigurationError) as caught:
        load_depth_network(tmp_path)
    message = str(caught.value)
    assert "1 missing (head.conv3.bias)" in message
    assert "1 extra (neck.unknown.weight)" in message
    assert f"1 misshaped ({key} (3, 3) instead of (64, 16))" in message


@pytest.mark.usefixtures("tiny")
def test_long_lists_of_names_are_cut(tmp_path):
    torch.save({"some.weight": torch.zeros(1)}, tmp_path / "depth.pth")
    with pytest.raises(ConfigurationError, match=r"missing \(.* and \d+ more\)") as caught:
        load_depth_network(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.usefixtures("tiny")
def test_a_broken_adapter_is_named(tmp_path):
    tensors = released(random_network(adapted=True))
    key = next(key for key in tensors if "lora_magnitude_vector" in key)
    tensors.pop(key)
    torch.save(tensors, tmp_path / "depth.pth")
    with pytest.raises(ConfigurationError, match=r"lacks .*layer\.0.*magnitude"):
        load_depth_network(tmp_path)
    tensors[key] = torch.ones(3)
    torch.save(tensors, tmp_path / "depth.pth")
    with pytest.raises(ConfigurationError, match=r"do not fit a weight of \(16, 16\)"):
        load_depth_network(tmp_path)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"head.conv1.weight": Trap(sprung)}, tmp_path / "depth_model.pth")
    with pytest.raises(ConfigurationError, match="refused"):
        load_depth_network(tmp_path)
    assert not sprung.exists()


NOISE = bytes(range(256)) * 20


@pytest.mark.parametrize("name", ["depth.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", NOISE], ids=["empty", "text", "noise"])
def test_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=name):
        load_depth_network(tmp_path)


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "depth.pth"
    torch.save({"a": torch.rand(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ConfigurationError, match=r"depth\.pth"):
        load_depth_network(tmp_path)


def test_entries_that_are_no_tensors_are_refused(tmp_path):
    torch.save({"height": 256}, tmp_path / "depth.pth")
    with pytest.raises(ConfigurationError, match="no tensors: height"):
        load_depth_network(tmp_path)
    torch.save([torch.zeros(1)], tmp_path / "depth.pth")
    with pytest.raises(ConfigurationError, match="list, not tensors by name"):
        load_depth_network(tmp_path)


def test_nothing_there_names_what_is_accepted_and_what_lies_below(tmp_path):
    with pytest.raises(ConfigurationError, match="do not exist"):
        load_depth_network(tmp_path / "absent")
    best = tmp_path / "best_SCARED_depth"
    best.mkdir()
    (best / "depth_model.pth").touch()
    with pytest.raises(ConfigurationError, match=r"one of depth_model\.pth.*best_SCARED_depth"):
        load_depth_network(tmp_path)


def released_pose(network, prefix=""):
    """Tensors of the two pose files, with the classifier that no forward pass uses."""
    encoder, decoder = {}, {}
    for key, value in network.state_dict().items():
        if key.startswith("encoder."):
            encoder[prefix + POSE_ENCODER_KEYS.published(key)] = value
        else:
            decoder[prefix + POSE_DECODER_KEYS.published(key)] = value
    encoder[f"{prefix}encoder.fc.weight"] = torch.zeros(1000, 512)
    encoder[f"{prefix}encoder.fc.bias"] = torch.zeros(1000)
    return encoder, decoder


@pytest.mark.parametrize("prefix", ["", "module."])
def test_pose_folder(tmp_path, prefix):
    torch.manual_seed(5)
    network = PoseNetwork().eval()
    encoder, decoder = released_pose(network, prefix)
    torch.save(encoder, tmp_path / "pose_encoder.pth")
    torch.save(decoder, tmp_path / "pose.pth")
    pair = torch.rand(1, 6, 256, 320)
    with torch.no_grad():
        for ours, theirs in zip(load_pose_network(tmp_path)(pair), network(pair)):
            assert torch.equal(ours, theirs)


def test_published_pose_names():
    encoder, decoder = released_pose(PoseNetwork())
    assert encoder["encoder.conv1.weight"].shape == (64, 6, 7, 7)
    assert encoder["attentions.layer_2.multihead_attn.in_proj_weight"].shape == (768, 256)
    assert {key: tuple(value.shape) for key, value in decoder.items() if "weight" in key} == {
        "net.0.weight": (256, 512, 1, 1),
        "net.1.weight": (256, 256, 3, 3),
        "net.2.weight": (256, 256, 3, 3),
        "net.3.weight": (12, 256, 1, 1),
        "intrinsics_layers.0.conv.conv.weight": (256, 256, 3, 3),
        "intrinsics_layers.1.conv.conv.weight": (64, 256, 3, 3),
        "intrinsics_layers.4.weight": (4, 64),
    }


def test_pose_folder_with_one_file_or_with_swapped_files(tmp_path):
    encoder, decoder = released_pose(PoseNetwork())
    torch.save(encoder, tmp_path / "pose.pth")
    with pytest.raises(ConfigurationError, match=r"all of pose_encoder\.pth, pose\.pth"):
        load_pose_network(tmp_path)
    torch.save(decoder, tmp_path / "pose_encoder.pth")
    with pytest.raises(ConfigurationError, match=r"missing \(encoder\.conv1\.weight"):
        load_pose_network(tmp_path)


def test_a_true_size_checkpoint_has_the_published_names(tmp_path):
    network = DepthNetwork()
    tensors = hugging_face(network)
    tensors["backbone.embeddings.mask_token"] = torch.zeros(1, 384)
    layer = "backbone.encoder.layer.11"
    assert tensors[f"{layer}.attention.attention.query.weight"].shape == (384, 384)
    assert tensors[f"{layer}.attention.output.dense.bias"].shape == (384,)
    assert tensors[f"{layer}.layer_scale2.lambda1"].shape == (384,)
    assert tensors["backbone.embeddings.position_embeddings"].shape == (1, 1370, 384)
    assert tensors["neck.reassemble_stage.layers.3.resize.weight"].shape == (384, 384, 3, 3)
    assert tensors["neck.convs.0.weight"].shape == (64, 48, 3, 3)
    assert "neck.reassemble_stage.layers.2.resize.weight" not in tensors
    assert len(tensors) == 359 - 24 * 3
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    loaded = load_depth_network(tmp_path)
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


@pytest.mark.shared
def test_names_are_those_of_the_released_checkpoints(shared):
    shapes = json.loads((shared / "golden" / "shapes" / "endosfm3d.json").read_text())
    network = DepthNetwork()
    attach_adapters(network)
    tensors = released(network)
    tensors[f"{PEFT}embeddings.mask_token"] = torch.zeros(1, 384)
    assert {key: list(value.shape) for key, value in tensors.items()} == shapes["depth_model"]
    for tensors, name in zip(released_pose(PoseNetwork()), ("pose_encoder", "pose")):
        assert {key: list(value.shape) for key, value in tensors.items()} == shapes[name]
