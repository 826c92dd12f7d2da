"""Setting up: killed at any moment, twice at once, on a full disk, with pins that must resolve."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = 10

# The steps of the set-up with one small package in place of the two gigabytes.
SMALL = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("bootstrap", sys.argv[1])
b = importlib.util.module_from_spec(spec); spec.loader.exec_module(b)
folder = Path(sys.argv[2])
b.REQUIREMENTS, b.torch_index = folder, lambda: []
environment = b.Environment(folder / ".venv")
with b.alone(folder / ".venv.lock"):
    environment.create()
    environment.install(["small"], folder / "constraints.txt")
print("ready", flush=True)
"""
IMPORTS = [".venv/bin/python", "-c", "import platformdirs; print(platformdirs.__version__)"]


@pytest.fixture
def small(tmp_path) -> Path:
    (tmp_path / "small.txt").write_text("platformdirs\n")
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    (tmp_path / "constraints.txt").write_text(
        "\n".join(line for line in pins if line.startswith("platformdirs"))
    )
    return tmp_path


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SMALL, str(ROOT / "bootstrap.py"), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def kill(process: subprocess.Popen) -> None:
    """The whole session, as a machine that is switched off."""
    subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
    process.wait()


@pytest.mark.skipif(not shutil.which("pkill"), reason="pkill is not installed")
def test_a_set_up_that_is_killed_at_ten_moments_is_repaired_by_the_next(small):
    begin = time.monotonic()
    whole = start(small)
    said, _ = whole.communicate(timeout=250)
    duration = time.monotonic() - begin
    assert whole.returncode == 0, said
    shutil.rmtree(small / ".venv")
    moments = random.Random(1)
    for _ in range(MOMENTS):
        process = start(small)
        time.sleep(moments.uniform(0, 0.9 * duration))
        kill(process)
    last = start(small)
    said, _ = last.communicate(timeout=250)
    assert last.returncode == 0, said
    assert "ready" in said
    subprocess.run(IMPORTS, cwd=small, check=True)


def test_two_set_ups_at_once_wait_for_each_other(small):
    both = [start(small) for _ in range(2)]
    said = [process.communicate(timeout=250)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("another set-up is running here: waiting for it" in text for text in said) == 1
    assert sum("installing packages" in text for text in said) == 1


def test_a_full_disk_is_said_before_anything_is_installed(bootstrap, small, monkeypatch, capsys):
    usage = shutil.disk_usage(small)
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    with pytest.raises(SystemExit, match=r"1\.0 GB are free in .*, 4 GB are needed"):
        bootstrap.Environment(small / ".venv").create()
    assert not (small / ".venv").exists()


def test_a_disk_that_fills_up_is_repaired_when_there_is_room_again(small):
    """A file system of 24 MB, in which the environment of 30 does not fit."""
    script = """
        mount -t tmpfs -o size=24m none "$1" && cp "$2"/*.txt "$1"
        "$0" -c "$3" "$4" "$1"; echo "first: $?"
        mount -o remount,size=300m "$1"
        "$0" -c "$3" "$4" "$1"; echo "second: $?"
    """
    full = small / "full"
    full.mkdir()
    code = SMALL.replace("b.REQUIREMENTS", "b.ROOM = 0; b.REQUIREMENTS")
    apart = ["unshare", "--mount"]
    if not shutil.which(apart[0]) or subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("this account may not mount")
    command = [*apart, "sh", "-c", script, sys.executable, str(full), str(small), code]
    command.append(str(ROOT / "bootstrap.py"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "first: 1" in done.stdout, done.stdout + done.stderr
    assert re.search(r"bootstrap: the disk is full, 0\.0\d GB are free in .*/full", done.stderr)
    assert "second: 0" in done.stdout, done.stdout + done.stderr


def test_what_a_machine_lacks_is_one_sentence(bootstrap, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"no C\+\+ compiler found \(on Debian"):
        bootstrap.check_machine()
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 0, "final", 0))
    with pytest.raises(SystemExit, match=r"wheels exist for 3\.10 to 3\.13"):
        bootstrap.check_machine()
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(SystemExit, match="cannot be written"), bootstrap.alone(blocked / "lock"):
        pass


def test_the_pins_beside_an_installed_ros_resolve_together(bootstrap, tmp_path):
    """numpy 1 for apt's cv_bridge: a pin that wants numpy 2 cannot be installed there."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--disable-pip-version-check", "-c", str(bootstrap.constraints_for_apt(tmp_path))]
    for name in ("base", "test"):
        command += ["-r", str(ROOT / "resource" / "requirements" / f"{name}.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ConnectionError" in done.stderr or "Temporary failure in name" in done.stderr:
        pytest.skip("no package index is reached")
    assert done.returncode == 0, done.stderr
