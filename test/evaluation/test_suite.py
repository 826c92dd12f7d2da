"""Many clips in one table."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from endosfm3d_ros.cli.main import build_app
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.evaluation.suite.clips import Excerpt, real_clips, simulated_clips
from endosfm3d_ros.evaluation.suite.run import EYES, Row
from endosfm3d_ros.evaluation.suite.summary import as_json, rows_table, summary


def run(*arguments: object):
    return CliRunner().invoke(build_app(), ["evaluate", *map(str, arguments)])


@pytest.fixture
def recordings(clip_folder, tmp_path):
    """A folder with one clip, listed as two, and something that is no recording."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    shutil.copytree(clip_folder, folder / "clip")
    (folder / "notes.txt").write_text("nothing\n")
    return folder


def listed(folder, *clips):
    (folder / "suite.json").write_text(json.dumps({"clips": list(clips)}))


def test_a_suite_plays_clips_with_both_eyes_and_with_one(recordings, tmp_path):
    listed(recordings, {"path": "clip", "frames": [0, 4]}, {"path": "gone", "name": "missing"})
    target = tmp_path / "now.json"
    options = ["--suite", "real", "--depth-source", "shading"]
    result = run(recordings, *options, "--json", target)
    assert result.exit_code == 0, result.output
    rows = json.loads(target.read_text())["rows"]
    assert [(row["clip"], row["eyes"]) for row in rows] == [
        ("clip", EYES[0]), ("clip", EYES[1]), ("missing", EYES[1]),
    ]  # fmt: skip
    assert rows[0]["frames"] == 4 and "does not exist" in rows[2]["failure"]
    again = run(recordings, *options, "--only", "clip", "--against", target)
    assert again.exit_code == 0, again.output


def test_one_eye_never_sees_the_other(clip_folder):
    alone = Excerpt(open_sequence(clip_folder), 2, 5, one_eye=True)
    frames = list(alone)
    assert [alone.number(i) for i in range(len(alone))] == [2, 3, 4] and len(frames) == 3
    assert alone.stereo is None
    assert all(frame.right_image is None and frame.stereo is None for frame in frames)


def test_a_camera_that_is_said_to_rest_has_references(recordings):
    listed(recordings, {"path": "clip", "rests": True})
    (clip,) = real_clips(recordings)
    np.testing.assert_array_equal(clip.open().reference_pose(3), np.eye(4))


def test_without_a_list_every_video_is_a_clip(recordings, tmp_path):
    with pytest.raises(InputError, match="no recordings of at least 8 frames"):
        real_clips(recordings)  # its only clip has seven
    listed(recordings, {"name": "without a path"})
    with pytest.raises(InputError, match="'path' is accepted"):
        real_clips(recordings)


def test_simulated_clips_are_rendered_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path))
    rendered = []
    clips = simulated_clips((3,), 2, quick=True, on_render=rendered.append)
    clip = next(clip for clip in clips if clip.name == "resting 3")
    first = next(iter(clip.open())).image
    np.testing.assert_array_equal(next(iter(clip.open())).image, first)
    assert len(rendered) == 1


def test_the_summary_keeps_worst_cases_and_leaves_paths_at_rest_out():
    rows = [
        Row("a", EYES[0], 9, "stereo", {"ate_sim3_of_path": 0.1, "pose_within_95": 0.5}),
        Row("b", EYES[0], 9, "stereo", {"ate_sim3_of_path": 0.3, "pose_within_95": 1.0}),
        Row("c", EYES[0], 9, "stereo", {"ate_sim3_of_path": 9.0, "at_rest": 1}),
    ]
    found = summary(rows)[EYES[0]]
    assert found["ate_sim3_of_path"] == {"median": pytest.approx(0.2), "worst": 0.3, "clips": 2}
    assert found["pose_within_95"]["worst"] == 0.5
    assert EYES[1] not in summary(rows)


def test_what_became_worse_is_told():
    row = Row("a", EYES[0], 9, "stereo", {"ate_se3_mm": 0.5, "pose_within_95": 0.5})
    before = {row.key: {"ate_se3_mm": 0.4, "pose_within_95": 0.4}}
    cells = [next(iter(column.cells)) for column in rows_table([row], before).columns]
    assert cells[1] == "0.5 [red]+0.1[/red]" and cells[2] == "0.5 [green]+0.1[/green]"
    assert as_json([row], "real")["rows"][0]["ate_se3_mm"] == 0.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--suite", "some"], "'some': accepted are simulated, real, all"),
        (["--suite", "real"], "one folder of recordings is needed, it is missing"),
        (["--suite", "simulated", "--seeds", "a"], "'a': numbers with commas"),
        (["--suite", "simulated", "--only", "beach"], "'beach': accepted is a part of"),
        (["--suite", "simulated", "--against", "/nowhere"], "an earlier --suite is accepted"),
        ([], "a recording is needed"),
    ],
)
def test_wrong_options_of_a_suite_are_one_sentence(options, sentence):
    result = run(*options)
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError) and sentence in str(result.exception)
