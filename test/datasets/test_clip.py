"""Clip folders: what is written is read, and what is no clip is one sentence."""

import json
import shutil

import numpy as np
import pytest

from endosfm3d_ros.datasets.clips.sequence import ClipSequence
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError, InputError


def test_a_written_clip_is_the_sequence(clip_folder):
    """Images exactly, depth to 0.01 mm, poses and cameras to rounding."""
    made = SimulatedSequence("rotated", frames=4, width=160, height=128, fps=12.5)
    read = open_sequence(clip_folder)
    assert isinstance(read, ClipSequence) and (read.fps, len(read)) == (12.5, 4)
    assert read.camera == made.camera and read.stereo.right == made.stereo.right
    assert read.poses_metric
    for name in ("R_left", "R_right", "P_left", "P_right"):
        np.testing.assert_allclose(
            getattr(read.stereo, name), getattr(made.stereo, name), atol=1e-12
        )
    for i, (ours, theirs) in enumerate(zip(made, read, strict=True)):
        assert ours.stamp == theirs.stamp
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.right_image, theirs.right_image)
        np.testing.assert_allclose(made.reference_depth(i), read.reference_depth(i), atol=1e-5)
        np.testing.assert_allclose(made.reference_pose(i), read.reference_pose(i), atol=1e-12)


def test_jpeg_is_the_default_and_close(tmp_path):
    made = SimulatedSequence("static", frames=1, width=160, height=128)
    write_clip(made, tmp_path / "clip")
    assert [path.name for path in (tmp_path / "clip" / "left").iterdir()] == ["000000.jpg"]
    difference = ClipSequence(tmp_path / "clip")[0].image.astype(float) - made[0].image
    assert np.abs(difference).mean() < 3


def test_an_interrupted_clip_leaves_nothing_and_the_old_one(tmp_path):
    target = tmp_path / "clip"
    made = SimulatedSequence("plane", frames=2, width=32, height=32)
    write_clip(made, target)
    before = sorted(path.name for path in target.rglob("*"))
    with pytest.raises(ConfigurationError, match="exists: choose another name or add --force"):
        write_clip(made, target)

    def interrupt(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(made, target, force=True, on_frame=interrupt)
    assert list(tmp_path.iterdir()) == [target]
    assert sorted(path.name for path in target.rglob("*")) == before


def test_a_folder_that_is_no_clip_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match=r"holds no c\*.json: it is not replaced"):
        write_clip(SimulatedSequence(frames=1), tmp_path / "home", force=True)


def change(clip, **values):
    """Other values in the camera file; the clip is one of raw eyes."""
    path = clip / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda clip: (clip / "calibration.json").unlink(), "has no calibration.json"),
        (lambda clip: (clip / "calibration.json").write_text("{"), "is no camera file"),
        (lambda clip: (clip / "calibration.json").write_text("{}"), "has no 'image_size'|no 'fx'"),
        (lambda clip: (clip / "right" / "000003.png").unlink(), "frame 3 in one eye only"),
        (lambda clip: (clip / "left" / "000001.png").write_bytes(b""), "000001.png: .* 0 bytes"),
        (lambda clip: (clip / "depth_ref" / "000001.png").write_bytes(b"\x89P"), "is cut off"),
        (lambda clip: (clip / "poses_ref.txt").write_text("0 1 2\n"), "poses_ref.txt line 1"),
        (lambda clip: change(clip, depth_unit_mm=5.0), r"depth_unit_mm of the camera file"),
        (lambda clip: change(clip, D1=[0, 0, 0.2, 0]), "tangential distortion 0.2, 0"),
        (lambda clip: change(clip, K1=[[9, 0, 80], [0, 9, 64], [0, 0, 1]]), "sees 167 degrees"),
        (lambda clip: change(clip, K1=[[130, 0, 640], [0, 130, 64], [0, 0, 1]]), "640.0, 64.0 px"),
    ],
)
def test_a_damaged_clip_is_one_sentence(clip_folder, tmp_path, damage, sentence):
    clip = tmp_path / "clip"
    shutil.copytree(clip_folder, clip)
    damage(clip)
    with pytest.raises(InputError, match=sentence) as caught:
        sequence = ClipSequence(clip)
        for i, _ in enumerate(sequence):
            sequence.reference_depth(i)
    assert len(str(caught.value).splitlines()) == 1


def test_what_no_reader_takes_is_one_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for path, sentence in (
        (tmp_path, "holds notes.txt: accepted are .*a clip folder"),
        (tmp_path / "notes.txt", "holds a .txt file: accepted are"),
        (tmp_path / "nothing", "does not exist: accepted are"),
    ):
        with pytest.raises(InputError, match=sentence):
            open_sequence(path)
    (tmp_path / "left").mkdir()
    with pytest.raises(InputError, match="has no numbered images"):
        open_sequence(tmp_path)
