"""Weight sets are found where they were put, and their absence is explained in one sentence."""

from __future__ import annotations

import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks import checkpoints
from endosfm3d_ros.sfm.endosfm3d import weights
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe
from endosfm3d_ros.sfm.endosfm3d.weights import find_weights, installed_weights


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty user, and a package without weights."""
    monkeypatch.delenv("ENDOSFM3D_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(weights, "files", lambda _package: tmp_path / "package")
    return tmp_path


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_nothing_installed_says_what_to_do(home):
    with pytest.raises(ConfigurationError) as error:
        find_weights()
    for word in ("depth_model.pth", str(home / "share/endosfm3d/weights"), "ENDOSFM3D_WEIGHTS"):
        assert word in str(error.value)


def test_user_sets_are_found_by_name(home):
    put(home / "share/endosfm3d/weights/official", "depth_model.pth")
    put(home / "share/endosfm3d/weights/own", "depth_model.pth")
    put(home / "share/endosfm3d/weights/empty")
    assert [found.name for found in installed_weights()] == ["official", "own"]
    assert find_weights().name == "official"
    assert find_weights("own").name == "own"
    with pytest.raises(ConfigurationError, match=r"'mine'.*installed are: official, own"):
        find_weights("mine")


@pytest.mark.parametrize("below", ["", "official"])
def test_variable_names_a_set_or_a_folder_of_sets(home, monkeypatch, below):
    put(home / "share/endosfm3d/weights/other", "depth_model.pth")
    folder = put(home / "anywhere" / below, "depth_model.pth")
    monkeypatch.setenv("ENDOSFM3D_WEIGHTS", str(home / "anywhere"))
    assert find_weights().folder == folder


def test_variable_that_names_no_folder_is_an_error(monkeypatch):
    monkeypatch.setenv("ENDOSFM3D_WEIGHTS", "/does/not/exist")
    with pytest.raises(ConfigurationError, match="ENDOSFM3D_WEIGHTS=/does/not/exist"):
        find_weights()


def test_sets_of_the_package_come_last(home):
    put(home / "package/weights/starter", "model.safetensors")
    assert find_weights().name == "starter"
    put(home / "share/endosfm3d/weights/official", "depth_model.pth")
    assert find_weights().name == "official"


def test_a_folder_can_be_named_directly(home):
    folder = put(home / "run/models/best", "depth_model.pth", "pose.pth", "pose_encoder.pth")
    found = find_weights(str(folder))
    assert found.folder == folder
    assert found.has_pose
    assert [path.name for path in found.depth_files] == ["depth_model.pth"]


def test_depth_alone_is_a_set(home):
    assert not find_weights(str(put(home / "a", "depth_model.pth", "pose.pth"))).has_pose


def test_pose_files_are_those_of_the_loader():
    assert weights.POSE_FILES == checkpoints.POSE_FILES


def test_card_states_the_input_size(home):
    folder = put(home / "own", "depth_model.pth")
    assert find_weights(str(folder)).input_size == (256, 320)
    (folder / "weights.json").write_text('{"input_size": [252, 322]}')
    found = find_weights(str(folder))
    assert found.input_size == (252, 322)
    assert depth_recipe(found).inputs[0].shape == (1, 3, 252, 322)


@pytest.mark.parametrize("text", ["", "[]", '{"input_size": 3}', '{"input_size": ["a", 2]}'])
def test_unreadable_cards_are_named(home, text):
    folder = put(home / "own", "depth_model.pth")
    (folder / "weights.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"own/weights\.json"):
        _ = find_weights(str(folder)).input_size


@pytest.mark.parametrize("size", [(256, 322), (250, 320), (0, 14), (-14, 14)])
def test_sizes_that_cut_patches_are_rejected(home, size):
    found = find_weights(str(put(home / "own", "depth_model.pth")))
    with pytest.raises(ConfigurationError, match="multiples of 14"):
        depth_recipe(found, size)


def test_fingerprint_follows_the_files(home):
    folder = put(home / "own", "depth_model.pth")
    before = depth_recipe(find_weights(str(folder))).fingerprint
    assert depth_recipe(find_weights(str(folder))).fingerprint == before
    put(folder, "pose.pth", "notes.txt")
    assert depth_recipe(find_weights(str(folder))).fingerprint == before
    (folder / "depth_model.pth").write_bytes(b"trained further")
    assert depth_recipe(find_weights(str(folder))).fingerprint != before
