"""Weights of others: terms first, then checked and converted files; no pickle stays."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_keys import POSE_DECODER_KEYS, POSE_ENCODER_KEYS
from endosfm3d_ros.networks.checkpoints import load_pose_network
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.networks.pose import PoseNetwork
from endosfm3d_ros.sfm.endosfm3d.weights import WeightSet, find_weights
from endosfm3d_ros.weights import catalogue, installation


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENDOSFM3D_WEIGHTS", raising=False)
    return tmp_path / "home" / "endosfm3d"


@pytest.fixture
def pose_folder(tmp_path, monkeypatch):
    """Pose files as published beside a depth file that is not looked into."""
    monkeypatch.setattr(installation, "load_depth_network", lambda folder: None)
    network = fill_with_generated_weights(PoseNetwork())
    folder = tmp_path / "published"
    folder.mkdir()
    tensors = network.state_dict()
    for name, table, part in (
        ("pose_encoder.pth", POSE_ENCODER_KEYS, "encoder."),
        ("pose.pth", POSE_DECODER_KEYS, "decoder."),
    ):
        own = {table.published(k): v for k, v in tensors.items() if k.startswith(part)}
        torch.save(own, folder / name)
    torch.save({"x": torch.ones(2)}, folder / "depth_model.pth")
    (folder / "notes.txt").write_text("not copied")
    return folder, network


def test_a_licence_must_be_accepted_by_name():
    entry = catalogue.find_entry("openlrm-base")
    for given in ("", "Apache-2.0"):
        with pytest.raises(ConfigurationError, match="--accept-licence CC-BY-NC-4"):
            catalogue.require_licence(entry, given)
    catalogue.require_licence(entry, "CC-BY-NC-4.0")
    with pytest.raises(ConfigurationError, match="known are endosfm3d"):
        catalogue.find_entry("no such")


def test_added_files_are_safetensors_that_the_loaders_read(home, pose_folder):
    folder, network = pose_folder
    entry = catalogue.find_entry("endosfm3d")
    lines = []
    target = installation.add(entry, folder, lines.append)
    assert target == home / "weights" / "endosfm3d"
    names = {path.name for path in target.iterdir()}
    assert names == {
        "depth_model.safetensors",
        "pose_encoder.safetensors",
        "pose.safetensors",
        "origin.json",
    }
    assert json.loads((target / "origin.json").read_text())["licence"] == "none-stated"
    assert torch.equal(load_file(target / "depth_model.safetensors")["x"], torch.ones(2))
    loaded = load_pose_network(target).state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in network.state_dict().items())
    assert any("pose and intrinsics network complete" in line for line in lines)
    found = find_weights()
    assert found.folder == target and found.has_pose
    assert [path.name for path in found.depth_files] == ["depth_model.safetensors"]


def test_what_is_installed_is_replaced_only_on_demand(home, pose_folder):
    entry = catalogue.find_entry("endosfm3d")
    installation.add(entry, pose_folder[0], print)
    with pytest.raises(ConfigurationError, match="add --force"):
        installation.add(entry, pose_folder[0], print)
    installation.add(entry, pose_folder[0], print, force=True)


def test_a_folder_without_weights_is_refused(home, tmp_path):
    with pytest.raises(ConfigurationError, match="holds none of depth_model"):
        installation.add(catalogue.find_entry("endosfm3d"), tmp_path, print)


def test_wrong_tensors_are_found_before_they_are_installed(home, tmp_path):
    torch.save({"x": torch.ones(2)}, tmp_path / "depth_model.pth")
    with pytest.raises(ConfigurationError, match="does not fit DepthNetwork"):
        installation.add(catalogue.find_entry("endosfm3d"), tmp_path, print)
    assert not home.exists()


def test_without_a_connection_there_is_one_sentence(home, monkeypatch):
    def offline(address, timeout):
        raise installation.urllib.error.URLError("no route")

    monkeypatch.setattr(installation.urllib.request, "urlopen", offline)
    with pytest.raises(ConfigurationError, match=r"no route.*weights add openlrm-base FOLDER"):
        installation.fetch(catalogue.find_entry("openlrm-base"), print)
    with pytest.raises(ConfigurationError, match="cannot be fetched by a program"):
        installation.fetch(catalogue.find_entry("endosfm3d"), print)
    assert not home.exists()


def test_fetched_files_are_installed(home, monkeypatch, tmp_path):
    from safetensors.torch import save

    content = {"config.json": b"{}", "model.safetensors": save({"x": torch.ones(3)})}

    class Answer:
        def __init__(self, data):
            import io

            self.stream = io.BytesIO(data)

        def __enter__(self):
            return self.stream

        def __exit__(self, *error):
            return False

    def served(address, timeout):
        return Answer(content[address.rsplit("/", 1)[1]])

    monkeypatch.setattr(installation.urllib.request, "urlopen", served)
    lines = []
    target = installation.fetch(catalogue.find_entry("openlrm-base"), lines.append)
    assert (target / "model.safetensors").read_bytes() == content["model.safetensors"]
    assert target == home / "lrm" / "openlrm-base"
    assert sum("sha256" in line for line in lines) == 2
    assert WeightSet(target).name == "openlrm-base"
