"""Row: OpenVINO's telemetry. No command opens a connection to another machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs at the start of every Python process below, those that a command starts included: notes
# every address that is asked for or connected to, and lets none through.
WATCH = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        host = address[0] if isinstance(address, tuple) else address
        if event.startswith("socket.get") or isinstance(address, tuple):
            if host not in ("localhost", "127.0.0.1", "::1"):
                with open(os.environ["WATCHED"], "a") as file:
                    print(event, address, file=file)
                raise OSError("no connection leaves this machine")

sys.addaudithook(watch)
"""


@pytest.fixture
def watched(tmp_path):
    """Runs Python with arguments; returns what it tried to reach."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WATCH)
    log = tmp_path / "watched.txt"

    def run(*arguments: object, code: int = 0) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)]),
            "WATCHED": str(log),
            "HOME": str(tmp_path),  # nobody has consented or declined here
            "ENDOSFM3D_CACHE": str(tmp_path / "cache"),
        }
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return log.read_text() if log.is_file() else ""

    return run


def test_the_watch_sees_a_connection(watched):
    call = "import urllib.request as u\ntry: u.urlopen('http://192.0.2.1/')\nexcept OSError: pass"
    assert "192.0.2.1" in watched("-c", call)


CONVERTING = """
import endosfm3d_ros, torch, openvino
from openvino.tools.ovc import convert_model
model = convert_model(torch.nn.Linear(2, 2), example_input=torch.zeros(1, 2))
openvino.Core().compile_model(model, "CPU")
"""


def test_openvino_reports_nothing(watched):
    assert watched("-c", CONVERTING) == ""


COMMANDS = """
import sys
from endosfm3d_ros.cli.main import build_app
app = build_app()
clip, out = sys.argv[1:]
for line in (
    ["weights", "list"],
    ["simulate", "breathing", clip, "--frames", "2", "--size", "160x128"],
    ["run", clip, "--out", out, "--depth-source", "stereo", "--tools", "off", "--no-map"],
):
    app(line, standalone_mode=False)
"""


def test_no_command_connects_to_another_machine(watched, tmp_path):
    assert watched("-c", COMMANDS, tmp_path / "clip", tmp_path / "out") == ""
    assert (tmp_path / "out" / "summary.json").is_file()
