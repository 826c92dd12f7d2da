"""Every block of commands in the README is run as written, or says in the source why it is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- (?P<why>[^>]*) -->\n)?```bash\n(?P<code>.*?)```", re.DOTALL)
DOCUMENTS = ("README.md", "docs/guide.md")
BLOCKS = [
    match.groupdict() for name in DOCUMENTS for match in BLOCK.finditer((ROOT / name).read_text())
]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def test_the_two_commands_come_first():
    """.ci/run takes them from there."""
    first = [block["code"].strip() for block in BLOCKS[:2]]
    assert first == ["python3 bootstrap.py demo", "python3 bootstrap.py test"]


def test_the_readme_is_read_in_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= 1200


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=str
)
def test_links_lead_somewhere(path):
    for link in LINK.findall(path.read_text()):
        assert (path.parent / link).exists(), link


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the commands find: the demo's clip, small, and the installation."""
    if not Path(sys.prefix, "bin", "endosfm3d").exists():
        pytest.skip(f"the package is not installed in {sys.prefix}")
    folder = tmp_path_factory.mktemp("a reader")
    clip = SimulatedSequence("instruments", frames=20, width=320, height=256, fps=5.0)
    write_clip(clip, folder / "out" / "demo" / "clip")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["code"].split("\n")[0][:50])
def test_the_commands_run_as_written(folder, block):
    if block["why"]:
        pytest.skip(block["why"])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "ROS_DOMAIN_ID": str(101 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    done = subprocess.run(
        ["bash", "-emc", block["code"]], cwd=folder, env=environment, text=True,
        capture_output=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if "pipeline" in block["code"]:  # it was ready when the first image came
        assert "the scene is there: images 320x256; depth from stereo" in done.stdout + done.stderr
