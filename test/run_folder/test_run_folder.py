"""What `endosfm3d run` leaves: everything that people and other programs look for."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

import trimesh
from rosbags.highlevel import AnyReader

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.formats.calibration import read_camera_file
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.scene.ply import read_cloud
from endosfm3d_ros.tissue.store.splat_file import read_splats

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 8


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "endosfm3d_ros.cli.main", *map(str, arguments)]


def endosfm3d(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=ROOT, check=False
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "moving"
    write_clip(SimulatedSequence("moving", frames=FRAMES, width=320, height=256), folder)
    return folder


@pytest.fixture(scope="module")
def done(clip, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    out = tmp_path_factory.mktemp("run") / "result"
    options = ("--depth", "png", "--frames", "1:", "--splat-scale", "20", "--tools", "off")
    done = endosfm3d("run", clip, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    return out, done


@pytest.fixture
def result(done) -> Path:
    return done[0]


class Links(HTMLParser):
    """Everything that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("src", "href")]


def test_standard_output_is_the_summary_and_nothing_else(done):
    folder, process = done
    assert json.loads(process.stdout) == json.loads((folder / "summary.json").read_text())
    assert "not a medical device" in process.stderr and "report.html" in process.stderr


def test_the_page_needs_nothing_but_itself(result):
    text = (result / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.found and all(link.startswith("data:image/") for link in links.found)
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text


def test_the_page_says_what_the_summary_says(result):
    text = (result / "report.html").read_text()
    word = json.loads((result / "summary.json").read_text())["grade"]["word"]
    assert f'class="grade {word}"' in text
    for said in ("stereo", "scene.glb", "poses_tum.txt", "splat_scale", "numpy"):
        assert said in text
    scene = json.loads(re.search(r'<script id="scene"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    assert scene["cloud"]["count"] > 3000 and scene["metres"]
    assert len(scene["path"]) == FRAMES - 1 and len(scene["camera"]["pose"]) == 16
    frames = json.loads(re.search(r'<script id="frames"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    assert len(frames) == FRAMES - 1


def test_cloud_surface_and_splats_lie_over_each_other(result):
    points = read_cloud(result / "scene.ply").points
    surface = trimesh.load(result / "scene.glb")
    splats = read_splats(result / "map.ply")["means"] / 20
    for low, high in ((splats.min(axis=0), splats.max(axis=0)), surface.bounds):
        np.testing.assert_allclose(np.median(points, axis=0), (low + high) / 2, atol=0.02)
    assert surface.bounds[0][2] > 0.01  # z forward, as in the cloud
    compact = np.fromfile(result / "map.splat", np.uint8).reshape(-1, 32)
    places = compact[:, :12].copy().view("<f4") / 20
    assert np.sort(places[:, 2]) == pytest.approx(np.sort(splats[:, 2]), abs=1e-6)


def test_files_declare_frame_and_units(result):
    for name in ("scene.ply", "map.ply"):
        heading = (result / name).read_bytes()[:600].decode("ascii", "replace")
        assert "frame map: x right, y down, z forward" in heading and "metres" in heading
    assert "lengths times 20" in (result / "map.ply").read_bytes()[:600].decode("ascii", "replace")
    assert "map: x right" in trimesh.load(result / "scene.glb").metadata["frame"]


def test_poses_are_there_for_trajectory_tools(result):
    tum = np.loadtxt(result / "poses_tum.txt")
    kitti = np.loadtxt(result / "poses_kitti.txt").reshape(-1, 3, 4)
    assert tum.shape == (FRAMES - 1, 8) and len(kitti) == FRAMES - 1
    np.testing.assert_allclose(tum[:, 1:4], kitti[:, :, 3], atol=1e-8)
    assert tum[0, 0] >= 1  # a stamp of zero means none in ROS
    np.testing.assert_allclose(np.linalg.norm(tum[:, 4:], axis=1), 1, atol=1e-6)


def test_the_camera_can_be_read_again(result):
    camera = read_camera_file(result / "camera.json")
    assert camera.camera.size == (320, 256)
    content = json.loads((result / "camera.json").read_text())
    assert content["state"] and content["sigma_px"]["fx"] > 0


def test_depth_files_are_in_declared_steps(result):
    meaning = json.loads((result / "depth" / "depth.json").read_text())
    files = sorted((result / "depth").glob("*.png"))
    assert [path.stem for path in files] == [f"{n:06d}" for n in range(1, FRAMES)]
    depth = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and meaning["unit"] == "metres"
    metres = depth[depth > 0] * meaning["unit_per_step"]
    assert 0.03 < np.median(metres) < 0.08


def test_figures_are_there_for_papers_and_screens(result):
    names = {path.name for path in (result / "figures").iterdir()}
    for what in ("trajectory", "depth", "camera", "timing"):
        assert {f"{what}.png", f"{what}.pdf"} <= names


def test_the_bag_is_packed_and_holds_input_and_status(result):
    with AnyReader([result / "bag"]) as bag:
        counts = {connection.topic: connection.msgcount for connection in bag.connections}
        assert bag.start_time >= 1_000_000_000
        plain = sum(len(content) for _, _, content in bag.messages())
    assert counts["/endoscope/left/image_raw/compressed"] == FRAMES - 1
    assert counts["/endosfm3d/status"] == FRAMES - 1
    size = sum(path.stat().st_size for path in (result / "bag").glob("*.mcap"))
    assert size < 0.85 * plain


def test_a_run_can_be_made_again_from_its_config(result, tmp_path):
    done = endosfm3d("run", "--config", result / "config.yaml", "--out", tmp_path / "b", "--no-bag")
    assert done.returncode == 0, done.stderr
    first, again = (json.loads((f / "summary.json").read_text()) for f in (result, tmp_path / "b"))
    for name in ("frames", "scene_points", "gaussians", "focal_px", "poses", "units"):
        assert first[name] == again[name]
    assert not (tmp_path / "b" / "bag").exists()
    assert (tmp_path / "latest").resolve() == tmp_path / "b"


def test_destination_and_options_are_refused_before_anything_heavy(clip, result, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, reason in (
        (("--out", result), "--force"),
        (("--out", tmp_path / "file" / "x"), "is no folder"),
        (("--out", tmp_path / "x", "--depth", "exr"), "--depth exr: accepted are none, png, npz"),
        (("--out", tmp_path / "x", "--frames", "5-7"), "a:b is accepted"),
        (("--out", tmp_path / "x", "--frames", "90:"), "has frames 0 to 7"),
        (("--out", tmp_path / "x", "--config", clip / "calibration.json"), "config.yaml of a run"),
    ):
        program = (
            "import sys; from endosfm3d_ros.cli.main import main\n"
            "import atexit; atexit.register(lambda: print('torch' in sys.modules))\nmain()"
        )
        command = [sys.executable, "-c", program, "run", clip, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 1, arguments
        assert reason in " ".join(done.stderr.split())
        assert done.stdout.strip() == "False"


def test_ctrl_c_keeps_what_is_done(tmp_path):
    write_clip(SimulatedSequence("static", frames=60, width=320, height=256), tmp_path / "long")
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("run", tmp_path / "long", "--out", out, "--no-bag", "--tools", "off"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.*/out/film.mp4")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    summary = json.loads(stdout)
    assert 0 < summary["frames_processed"] < 60 and not summary["complete"]
    assert "what is done is kept" in stderr
    assert (out / "report.html").is_file() and (out / "scene.ply").is_file()


BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def test_a_browser_draws_the_scene_without_an_error(result, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader", f"--user-data-dir={tmp_path}", "--virtual-time-budget=4000",
        "--enable-logging=stderr", "--dump-dom",
    ]  # fmt: skip
    page = (result / "report.html").as_uri()
    done = subprocess.run(
        [browser, *options, page], capture_output=True, text=True, timeout=120, check=False
    )
    assert re.search(
        r"<div class=\"rule\"[^>]*><i style=\"width: ?\d+px;?\"></i>[\d.]+ mm", done.stdout
    )
    assert re.search(r"<img id=\"picture\"[^>]*src=\"data:image/jpeg", done.stdout)
    assert "Uncaught" not in done.stderr and "SyntaxError" not in done.stderr
