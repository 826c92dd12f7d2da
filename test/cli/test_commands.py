"""The command line as a user meets it: outputs appear whole, errors are one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rosbags.highlevel import AnyReader

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.nodes.outputs.catalogue import all_topics
from endosfm3d_ros.scene.ply import read_cloud

ROOT = Path(__file__).resolve().parents[2]


def endosfm3d(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "endosfm3d_ros.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "moving"
    write_clip(SimulatedSequence("moving", frames=6, width=320, height=256), folder)
    return folder


@pytest.fixture(scope="module")
def result(clip, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "result"
    done = endosfm3d("run", clip, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_run_writes_every_topic_of_every_frame(result):
    with AnyReader([result / "bag"]) as bag:
        counts = {connection.topic: connection.msgcount for connection in bag.connections}
    said = {name for name, topic in all_topics().items() if topic.recorded} | {"status"}
    own = {f"/endosfm3d/{name}" for name in said - {"tools/clearance"}}  # there is no tool
    image = "/endoscope/left/image_raw/compressed"
    assert counts == dict.fromkeys(own | {"/tf", image}, 6)


def test_run_writes_cloud_map_pictures_and_summary(result):
    cloud = read_cloud(result / "scene.ply")
    assert len(cloud.points) > 3000
    for name in ("scene.glb", "map.npz", "map.ply", "film.mp4"):
        assert (result / name).stat().st_size > 10_000
    assert 0.03 < cloud.points[:, 2].mean() < 0.08
    assert (result / "contact_sheet.png").stat().st_size > 10_000
    summary = json.loads((result / "summary.json").read_text())
    assert summary["frames_processed"] == summary["frames"] == 6
    assert summary["scale_source"] == "stereo"
    assert summary["latency_ms"]["depth"]["p50"] > 0


def test_run_refuses_to_overwrite(result, clip):
    before = (result / "summary.json").stat().st_mtime_ns
    done = endosfm3d("run", clip, "--out", result)
    assert done.returncode == 1
    assert "--force" in done.stderr
    assert (result / "summary.json").stat().st_mtime_ns == before


def test_a_run_that_fails_leaves_nothing(clip, tmp_path):
    done = endosfm3d("run", clip, "--out", tmp_path / "out", "--depth-source", "topic")
    assert done.returncode == 1
    assert "came without depth" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments,reason",
    [
        (("run", "/nonexistent", "--out", "x"), "does not exist"),
        (("bench", "coffee"), "accepted are stereo"),
        (("run", ROOT / "docs", "--out", "x"), "accepted are"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_1(arguments, reason):
    done = endosfm3d(*arguments)
    assert done.returncode == 1
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_doctor_speaks_of_what_is_here_and_what_is_not():
    done = endosfm3d("doctor")
    assert done.returncode == 0, done.stdout
    for part in ("python", "ROS 2", "messages", "launch_ros", "OpenVINO", "weights", "memory"):
        assert part in done.stdout


def test_every_command_has_help_with_an_example():
    listing = endosfm3d("--help").stdout
    assert "not a medical device" in " ".join(listing.split())
    for name in ("run", "convert", "simulate", "play", "demo", "evaluate", "parity", "bench"):
        assert name in listing
        assert f"endosfm3d {name}" in endosfm3d(name, "--help").stdout
