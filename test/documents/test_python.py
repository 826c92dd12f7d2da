"""The package as a library: short names that cost nothing until used, and the README's lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import endosfm3d_ros
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.scene.ply import read_cloud

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
HEAVY = ("torch", "cv2", "numpy", "rclpy")


def python(program: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    program = f"import sys, endosfm3d_ros; print([m for m in {HEAVY} if m in sys.modules])"
    done = python(program, tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", endosfm3d_ros.__all__)
def test_every_public_name_is_there(name):
    assert getattr(endosfm3d_ros, name) is not None
    assert name in dir(endosfm3d_ros)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Pipelines'"):
        endosfm3d_ros.Pipelines  # noqa: B018


def test_the_version_is_the_same_everywhere():
    places = {"package.xml": r"<version>(.*?)</version>", "setup.py": r'version="(.*?)"'}
    for name, pattern in places.items():
        said = re.search(pattern, (ROOT / name).read_text())
        assert said[1] == endosfm3d_ros.__version__, name


def test_the_readme_makes_a_cloud_in_five_lines(tmp_path):
    (block,) = BLOCKS
    assert len([line for line in block.splitlines() if line.strip()]) == 5
    clip = SimulatedSequence("moving", frames=3, width=320, height=256)
    write_clip(clip, tmp_path / "out" / "demo" / "clip")
    done = python(block, tmp_path)
    assert done.returncode == 0, done.stderr
    cloud = read_cloud(tmp_path / "scene.ply")
    assert len(cloud.points) > 3000
    assert 0.03 < cloud.points[:, 2].mean() < 0.08
    heading = (tmp_path / "scene.ply").read_bytes()[:400].decode("ascii", "replace")
    assert "comment endosfm3d_ros frame map: x right, y down" in heading
    assert "comment unit metres, scale from stereo" in heading
