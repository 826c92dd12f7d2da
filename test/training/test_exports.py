"""What a training leaves behind, read by the loaders of the live node. Full-size networks."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

pytest.importorskip("peft", reason="training needs peft (resource/requirements/train.txt)")

from endosfm3d_ros.cli.main import build_app
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_files import read_tensors
from endosfm3d_ros.networks.checkpoints import flow_network, load_depth_network, load_pose_network
from endosfm3d_ros.networks.depth import DepthNetwork, scaled_disparity
from endosfm3d_ros.networks.flow import APPEARANCE_FLOW, OPTICAL_FLOW
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.sfm.endosfm3d.arrays import resized_image
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe, pose_recipe
from endosfm3d_ros.sfm.endosfm3d.weights import CARD, STUDENT, WeightSet, find_weights
from endosfm3d_ros.training.adapters import base_tensors
from endosfm3d_ros.training.exports import save_adapter_set, save_released_layout
from endosfm3d_ros.training.recipes import OURS
from endosfm3d_ros.training.start import initial_networks
from endosfm3d_ros.training.video import VideoTraining, start_training

COUNTS = {  # tensors in the files of the released code
    "depth_model": 359,
    "pose_encoder": 176,
    "pose": 14,
    "position_encoder": 138,
    "position": 28,
    "transform_encoder": 138,
    "transform": 28,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Depth Anything V2 Small under the names of Hugging Face, with generated weights."""
    folder = tmp_path_factory.mktemp("base")
    network = fill_with_generated_weights(DepthNetwork())
    safetensors.torch.save_file(base_tensors(network), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def trained(base):
    """Networks whose adapters and heads are no longer as they began."""
    networks = initial_networks(WeightSet(base), OURS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in networks.depth.named_parameters():
            if "lora_" in name or name.startswith("head."):
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.02 * noise)
    networks.enter_evaluation()
    return networks


def disparity(network):
    image = torch.rand((1, 3, 84, 98), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return network(image)[0]


def test_a_fresh_adapter_changes_nothing(base):
    networks = initial_networks(WeightSet(base), OURS)
    networks.enter_evaluation()
    torch.testing.assert_close(
        disparity(networks.depth), disparity(load_depth_network(base)), rtol=1e-4, atol=1e-7
    )


def test_adapter_folder_gives_the_trained_networks(trained, base, tmp_path):
    save_adapter_set(trained, OURS, tmp_path / "adapter")
    loaded = load_depth_network(tmp_path / "adapter")
    expected = disparity(trained.depth)
    torch.testing.assert_close(disparity(loaded), expected, rtol=1e-3, atol=1e-7)
    assert (disparity(load_depth_network(base)) / expected - 1).abs().max() > 0.05
    pair = torch.rand((1, 6, 256, 320), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for ours, theirs in zip(load_pose_network(tmp_path / "adapter")(pair), trained.pose(pair)):
            torch.testing.assert_close(ours, theirs)


def test_peft_itself_can_read_the_adapter(trained, tmp_path):
    from peft import LoraConfig

    save_adapter_set(trained, OURS, tmp_path / "adapter")
    config = LoraConfig.from_pretrained(str(tmp_path / "adapter"))
    assert (config.r, config.lora_alpha, config.lora_dropout) == (14, 16, 0.1)
    assert config.use_dora
    assert set(config.target_modules) == {"query", "value"}
    tensors = read_tensors(tmp_path / "adapter" / "adapter_model.safetensors")
    layer = "base_model.model.encoder.layer.11.attention.attention.value"
    assert tensors[f"{layer}.lora_A.weight"].shape == (14, 384)
    assert tensors[f"{layer}.lora_magnitude_vector"].shape == (384,)
    assert len(tensors) == 12 * 2 * 3


def test_released_layout_is_complete(trained, tmp_path, request):
    folder = tmp_path / "released"
    save_released_layout(trained, OURS, folder)
    states = {name: read_tensors(folder / f"{name}.pth") for name in COUNTS}
    assert {name: len(state) for name, state in states.items()} == COUNTS
    assert json.loads((folder / CARD).read_text())["input_size"] == [252, 322]
    loaded = load_depth_network(folder)
    torch.testing.assert_close(disparity(loaded), disparity(trained.depth), rtol=1e-3, atol=1e-7)
    load_pose_network(folder)
    for name, config in (("position", OPTICAL_FLOW), ("transform", APPEARANCE_FLOW)):
        flow_network(config, states[f"{name}_encoder"], states[name], name)


def test_released_layout_has_the_names_and_shapes_of_the_released_code(trained, tmp_path, shared):
    save_released_layout(trained, OURS, tmp_path / "released")
    published = json.loads((shared / "golden" / "shapes" / "endosfm3d.json").read_text())
    for name, shapes in published.items():
        state = read_tensors(tmp_path / "released" / f"{name}.pth")
        assert {key: list(value.shape) for key, value in state.items()} == shapes


def test_a_second_export_replaces_the_first(trained, tmp_path):
    save_adapter_set(trained, OURS, tmp_path / "adapter")
    save_adapter_set(trained, replace(OURS, depth_size=(266, 322)), tmp_path / "adapter")
    assert WeightSet(tmp_path / "adapter").input_size == (266, 322)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_adapt_ends_in_weights_that_the_live_node_finds(base, tmp_path, monkeypatch):
    write_clip(
        SimulatedSequence("static", frames=6, width=64, height=52, fps=10), tmp_path / "clip"
    )
    run = tmp_path / "run"
    arguments = ["adapt", str(tmp_path / "clip"), "--out", str(run), "--weights", str(base)]
    result = CliRunner().invoke(
        build_app(), [*arguments, "--steps", "1", "--batch-size", "1", "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    assert "ENDOSFM3D_WEIGHTS" in result.output
    monkeypatch.setenv("ENDOSFM3D_WEIGHTS", str(run / "adapter"))
    found = find_weights()
    assert found.folder == run / "adapter"
    assert found.has_pose
    depth, pose = depth_recipe(found), pose_recipe(found)
    assert depth.inputs[0].shape == (1, 3, 252, 322)
    image = torch.rand(depth.inputs[0].shape, generator=torch.Generator().manual_seed(4))
    options = VideoTraining((tmp_path / "clip",), run, replace(OURS, batch_size=1), str(base))
    trainer = start_training(options)  # goes on from the checkpoint, so it has the same networks
    trainer.networks.enter_evaluation()
    with torch.no_grad():
        expected = trainer.networks.depth.logit(image)
        torch.testing.assert_close(depth.load()(image)[0], expected, rtol=1e-3, atol=1e-3)
        assert len(pose.load()(torch.rand(pose.inputs[0].shape))) == 3


def test_small_networks_cannot_be_adapted(tmp_path):
    (tmp_path / CARD).write_text(json.dumps({"network": STUDENT}))
    with pytest.raises(ConfigurationError, match="without attention layers"):
        initial_networks(WeightSet(tmp_path), OURS)


@pytest.mark.slow
def test_the_live_source_runs_on_an_adapted_set(trained, tmp_path, monkeypatch):
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D, EndoSfM3DConfig

    save_adapter_set(trained, OURS, tmp_path / "adapter")
    monkeypatch.setenv("ENDOSFM3D_WEIGHTS", str(tmp_path / "adapter"))
    engines = EngineSettings(cache_dir=tmp_path / "engines")
    source = EndoSfM3D.installed(EndoSfM3DConfig(engines=engines))
    clip = SimulatedSequence("static", frames=2, width=320, height=256)
    first, second = clip
    depth = source.depth(first.image)
    small = torch.from_numpy(resized_image(first.image, (252, 322))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = scaled_disparity(torch.sigmoid(trained.depth.logit(small)))[0, 0].numpy()
    back = cv2.resize(expected, (320, 256), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(depth.inverse_depth, back, rtol=1e-2)
    assert source.motion(first.image, second.image) is not None
