"""Row: 20 kill -9 left files, folders and shared memory behind; a start sweeps what is dead."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import endosfm3d_ros
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files import leftovers
from endosfm3d_ros.files.atomic import replacing, write_text
from endosfm3d_ros.files.leftovers import sweep
from endosfm3d_ros.nodes.system import shared_memory
from endosfm3d_ros.nodes.system.shared_memory import sweep_shared_memory

PACKAGE = Path(endosfm3d_ros.__file__).parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path / "cache"))


def begun(code: str, *arguments: object) -> subprocess.Popen:
    """A process that has printed `ready`; it waits then."""
    command = [sys.executable, "-c", code + "\nprint('ready', flush=True)\ntime.sleep(600)"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline().strip() == "ready"
    return process


def killed(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


FILE = """
import sys, time
from pathlib import Path
from endosfm3d_ros.files.atomic import replacing
context = replacing(Path(sys.argv[1]))
context.__enter__().write_text("half")
"""
FOLDER = """
import sys, time
from pathlib import Path
from endosfm3d_ros.files.atomic import atomic_folder
context = atomic_folder(Path(sys.argv[1]), "a*", force=True)
folder = context.__enter__()
folder.mkdir()
(folder / "a.txt").write_text("half")
"""


@pytest.mark.parametrize("code", [FILE, FOLDER], ids=["file", "folder"])
def test_what_a_killed_process_left_goes_at_the_next_start_and_not_before(tmp_path, code):
    out = tmp_path / "out"
    out.mkdir()
    process = begun(code, out / "clip.v2")
    (scratch,) = out.iterdir()
    assert sweep() == [] and scratch.exists()  # it lives
    killed(process)
    assert sweep() == [scratch]
    assert list(out.iterdir()) == []
    assert list(leftovers.notes_folder().iterdir()) == []


def test_an_old_folder_comes_back_where_the_kill_fell_between_two_renames(tmp_path):
    target = tmp_path / "clip"
    target.mkdir()
    (target / "a.txt").write_text("old")
    process = begun(FOLDER, target)
    (scratch,) = (p for p in tmp_path.iterdir() if p.name.startswith(".clip"))
    killed(process)
    target.rename(scratch / leftovers.REPLACED)
    sweep()
    assert (target / "a.txt").read_text() == "old"
    assert not scratch.exists()


def test_a_note_can_only_remove_what_the_package_names(tmp_path):
    """Kind: somebody else writes into the folder of notes."""
    precious = tmp_path / "precious"
    precious.mkdir()
    notes = leftovers.notes_folder() / "1-2"
    notes.mkdir(parents=True)
    (notes / "a").write_bytes(b"\0".join([os.fsencode(precious)] * 2))
    (notes / "b").write_bytes(b"\xff\xff nonsense")
    assert sweep() == [] and precious.is_dir()


def test_marker_meshes_of_a_killed_node_go(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "ros"))
    process = begun(
        "import time, trimesh\n"
        "from types import SimpleNamespace\n"
        "from endosfm3d_ros.nodes.messages.marker_shapes import MeshFile\n"
        "box = trimesh.creation.box()\n"
        "shape = MeshFile(SimpleNamespace(vertices=box.vertices, faces=box.faces))"
    )
    (mesh,) = (tmp_path / "ros" / "endosfm3d").iterdir()
    assert mesh.suffix == ".stl" and sweep() == []
    killed(process)
    assert sweep() == [mesh]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_ended_command_leaves_nothing(tmp_path, number):
    """Row: SIGTERM left `.name.xxxx` folders, only SIGINT was handled."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "endosfm3d_ros.cli.main", "simulate", "breathing"]
    command += [str(out / "clip"), "--frames", "3000", "--size", "320x256"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)
    end = time.monotonic() + 120
    while not list(out.glob(".clip*/clip/*")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(30) != 0
    assert list(out.iterdir()) == []


def test_an_error_keeps_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as scratch:
        scratch.write_text("new")
        _ = 1 // 0
    assert path.read_text() == "old" and set(tmp_path.iterdir()) - {tmp_path / "cache"} == {path}


def test_a_link_is_followed_and_a_pipe_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_text(tmp_path / "link", "through")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "through"
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "", "a\0b"):
        with pytest.raises(ConfigurationError):
            write_text(tmp_path / name, "text")


# Modules that write into a folder of `atomic_folder`, append to a log, or are the helper itself.
MAY_WRITE = {
    "files/atomic.py", "files/leftovers.py", "files/ply.py", "cli/run.py",
    "nodes/offline/bag_writer.py",
    "run_folder/depth_files.py", "scene/film_file.py", "weights/installation.py",
    "datasets/formats/calibration.py",
    "datasets/clips/writer.py", "datasets/formats/intrinsics_table.py",
    "datasets/formats/poses.py", "datasets/published/stereomis_writer.py",
    "datasets/formats/tool_truth.py", "training/adapters.py", "training/exports.py",
    "engines/export.py", "nodes/offline/process.py", "training/supervised/log_table.py",
    "training/frames.py", "training/supervised/bank.py", "splatting/build.py",
    "splatting/compiled.py", "datasets/bags/unpacking.py",
}  # fmt: skip
WRITERS = ("write_text", "write_bytes", "imwrite", "savez", "savez_compressed", "mkstemp")


def test_no_other_module_writes_a_file_in_place():
    """Kind: a file that a full disk or a kill leaves half-written."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                arguments = [a.value for a in node.args if isinstance(a, ast.Constant)]
                opens = node.func.attr == "open" and {"w", "wb", "a", "x"} & set(arguments)
                if (node.func.attr in WRITERS and node.func.attr != "savez") or (
                    opens and ast.unparse(node.func.value) != "scratch"
                ):
                    found.add(str(path.relative_to(PACKAGE)))
    assert found <= MAY_WRITE


NODE = """
import time, rclpy
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node("left")
publisher = node.create_publisher(String, "left", 1)
"""


def test_shared_memory_of_the_dead_goes_and_that_of_the_living_stays(monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setattr(shared_memory, "YOUNG", 0.0)
    before = set(shared_memory.FOLDER.iterdir())
    first, second = begun(NODE), begun(NODE)
    segments = {p for p in set(shared_memory.FOLDER.iterdir()) - before if "port" not in p.name}
    if len(segments) < 4:
        killed(first), killed(second)
        pytest.skip("DDS uses no shared memory here")
    held = {
        Path(os.readlink(link)) for link in Path(f"/proc/{second.pid}/fd").iterdir()
        if os.path.islink(link)
    }  # fmt: skip
    try:
        killed(first)
        gone = set(sweep_shared_memory())
        living = {p for p in held if p.parent == shared_memory.FOLDER}
        assert living and not living & gone and all(p.exists() for p in living)
        assert gone & segments
        assert not [p for p in gone if p.exists()]
    finally:
        killed(second)
        sweep_shared_memory()


def test_shared_memory_that_is_not_certainly_dead_stays(tmp_path):
    for name in ("fastrtps_0123456789abcdef", "fastrtps_0123456789abcdef_el", "fastrtps_port7400",
                 "sem.fastrtps_port7400_mutex", "other_0123456789abcdef_el"):  # fmt: skip
        (tmp_path / name).write_bytes(b"")
    assert sweep_shared_memory(tmp_path) == []  # young
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    gone = {path.name for path in sweep_shared_memory(tmp_path)}
    assert gone == {"fastrtps_0123456789abcdef", "fastrtps_0123456789abcdef_el"}
