"""`endosfm3d simulate` as users start it."""

import cv2
import numpy as np
import pytest

from endosfm3d_ros.cli import simulate
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.simulation.scenes import SCENES
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry import se3

SMALL = ("--frames", "2", "--size", "64x48")


def test_a_clip_appears(tmp_path, run_command):
    result = run_command("simulate", "plane", tmp_path / "clip", *SMALL, "--fps", "10")
    assert result.exit_code == 0, result.output
    assert "2 frames of 64x48 at 10 fps" in " ".join(result.output.split())
    clip = open_sequence(tmp_path / "clip")
    assert (len(clip), clip.fps, clip.camera.size) == (2, 10.0, (64, 48))
    assert clip.reference_depth(1).mean() == pytest.approx(0.050, abs=5e-6)
    assert list(tmp_path.iterdir()) == [tmp_path / "clip"]


def test_instruments_come_back_from_a_clip(tmp_path, run_command):
    assert run_command("simulate", "instruments", tmp_path / "clip", *SMALL).exit_code == 0
    made = SimulatedSequence("instruments", frames=2, width=64, height=48)
    clip = open_sequence(tmp_path / "clip")
    for i in range(2):
        np.testing.assert_array_equal(clip.instances(i), made.instances(i))
        np.testing.assert_array_equal(clip.parts(i), made.parts(i))
        np.testing.assert_array_equal(clip.surface(i).points, made.surface(i).points)
        np.testing.assert_array_equal(clip.surface(i).labels, made.surface(i).labels)
        for tool in (1, 2):
            np.testing.assert_allclose(
                clip.tool_poses(i)[tool], made.tool_poses(i)[tool], atol=1e-6
            )
            assert clip.tool_clearances(i)[tool] == pytest.approx(made.tool_clearances(i)[tool])
    for tool, mesh in made.tool_meshes().items():
        np.testing.assert_array_equal(clip.tool_meshes()[tool].vertices, mesh.vertices)
        np.testing.assert_array_equal(clip.tool_meshes()[tool].faces, mesh.faces)


def test_a_zooming_camera_comes_back_from_a_clip(tmp_path, run_command):
    assert run_command("simulate", "zoom", tmp_path / "clip", *SMALL).exit_code == 0
    clip = open_sequence(tmp_path / "clip")
    made = SimulatedSequence("zoom", frames=2, width=64, height=48)
    assert clip.stereo is None
    assert clip.reference_camera(1) == made.reference_camera(1) != clip.camera


def test_a_stereomis_folder_appears(tmp_path, run_command):
    options = ("--frames", "3", "--size", "128x96", "--layout", "stereomis")
    result = run_command("simulate", "surgery", tmp_path / "S1", *options)
    assert result.exit_code == 0, result.output
    made = SimulatedSequence("surgery", frames=3, width=128, height=96)
    clip = open_sequence(tmp_path / "S1")
    assert (len(clip), clip.fps, clip.camera.size) == (3, 15.0, (128, 96))
    assert clip.stereo.baseline == pytest.approx(made.stereo.baseline, rel=1e-6)
    np.testing.assert_array_equal(clip.mask(1), made.mask(1))
    moved = se3.inverse(made.reference_pose(0)) @ made.reference_pose(2)
    np.testing.assert_allclose(clip.reference_pose(2), moved, atol=1e-9)
    for frame, exact in zip(clip, made):
        for image, other in ((frame.image, exact.image), (frame.right_image, exact.right_image)):
            assert np.abs(image.astype(int) - other).mean() < 12  # MPEG-4 loses some


def test_raw_eyes_keep_their_rotation_in_stereomis(tmp_path, run_command):
    options = (*SMALL, "--layout", "stereomis")
    assert run_command("simulate", "rotated", tmp_path / "S1", *options).exit_code == 0
    made = SimulatedSequence("rotated", frames=2, width=64, height=48).stereo
    pair = open_sequence(tmp_path / "S1").stereo
    assert (pair.left.fx, pair.right.fx) == pytest.approx((made.left.fx, made.right.fx))
    both, other = (p.R_right.T @ p.R_left for p in (pair, made))
    np.testing.assert_allclose(both, other, atol=1e-6)


def test_one_eye_is_no_stereomis_folder(tmp_path, run_command):
    result = run_command("simulate", "zoom", tmp_path / "S1", *SMALL, "--layout", "stereomis")
    assert result.exit_code == 1 and isinstance(result.exception, InputError)
    assert list(tmp_path.iterdir()) == []


def test_a_bag_appears(tmp_path, run_command):
    pytest.importorskip("rclpy")
    result = run_command("simulate", "instruments", tmp_path / "bag", *SMALL, "--layout", "bag")
    assert result.exit_code == 0, result.output
    bag = open_sequence(tmp_path / "bag")
    made = SimulatedSequence("instruments", frames=2, width=64, height=48)
    np.testing.assert_array_equal(next(iter(bag)).image, made[0].image)
    np.testing.assert_array_equal(bag.instances(1), made.instances(1))


def test_a_contact_sheet_appears(tmp_path, run_command, monkeypatch):
    from endosfm3d_ros.datasets.simulation import sheet

    monkeypatch.setattr(sheet, "WIDTH", 48)
    monkeypatch.setattr(sheet, "HEIGHT", 40)
    result = run_command("simulate", "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture.shape[1] == 8 * 48 and picture.shape[0] % 40 == 0
    tiles = picture.reshape(-1, 40, 8, 48, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 40 * 48 * 3)
    assert (tiles.std(1) > 5).mean() > 0.95


def test_the_help_names_every_scene():
    assert [part.split(":")[0] for part in simulate.SCENES.split("; ")] == list(SCENES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["moon", "clip"], "'moon': accepted are breathing"),
        (["plane", "clip", "--size", "640"], "--size 640: width x height"),
        (["plane", "clip", "--size", "8x8"], "at least one frame of 16x16"),
        (["plane", "clip", "--frames", "0"], "at least one frame"),
        (["plane"], "a scene and a folder are needed"),
        (["--sheet", "sheet.jpg"], "ends in .png"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, run_command, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    result = run_command("simulate", *arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError) and sentence in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_old_clip_is_only_replaced_when_asked(tmp_path, run_command):
    target = tmp_path / "clip"
    assert run_command("simulate", "static", target, *SMALL).exit_code == 0
    refused = run_command("simulate", "static", target, *SMALL)
    assert refused.exit_code == 1 and "add --force" in str(refused.exception)
    again = run_command("simulate", "static", target, *SMALL, "--seed", "3", "--force")
    assert again.exit_code == 0
