"""`endosfm3d simulate` as users start it."""

import pytest

from endosfm3d_ros.cli import simulate
from endosfm3d_ros.datasets.sequence import open_sequence
from endosfm3d_ros.datasets.simulation.scenes import SCENES
from endosfm3d_ros.errors import ConfigurationError

SMALL = ("--frames", "2", "--size", "64x48")


def test_a_clip_appears(tmp_path, run_command):
    result = run_command("simulate", tmp_path / "clip", *SMALL, "--scene", "plane", "--fps", "10")
    assert result.exit_code == 0, result.output
    assert "2 frames of 64x48 at 10 fps" in " ".join(result.output.split())
    clip = open_sequence(tmp_path / "clip")
    assert (len(clip), clip.fps, clip.camera.size) == (2, 10.0, (64, 48))
    assert clip.reference_depth(1).mean() == pytest.approx(0.050, abs=5e-6)
    assert list(tmp_path.iterdir()) == [tmp_path / "clip"]


def test_the_help_names_every_scene():
    assert [part.split(":")[0] for part in simulate.SCENES.split("; ")] == list(SCENES)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--scene", "moon"], "'moon': accepted are breathing"),
        (["--size", "640"], "--size 640: width x height"),
        (["--size", "8x8"], "at least one frame of 16x16"),
        (["--frames", "0"], "at least one frame"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, run_command, options, sentence):
    result = run_command("simulate", tmp_path / "clip", *options)
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError) and sentence in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_old_clip_is_only_replaced_when_asked(tmp_path, run_command):
    target = tmp_path / "clip"
    assert run_command("simulate", target, *SMALL).exit_code == 0
    refused = run_command("simulate", target, *SMALL)
    assert refused.exit_code == 1 and "add --force" in str(refused.exception)
    assert run_command("simulate", target, *SMALL, "--seed", "3", "--force").exit_code == 0
