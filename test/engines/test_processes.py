"""Several processes on one engine folder: one builds, the others wait; a killed one is no harm.

Each process runs this file as a script: the folder, a log of builds, and seconds to build.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from endosfm3d_ros.engines import EngineSettings, NetworkRecipe, TensorSpec, obtain_engine


def recipe(log: Path, seconds: float) -> NetworkRecipe:
    """A network whose loading takes a while and is written down."""

    def load():
        import torch

        with log.open("a") as file:
            file.write("loading\n")
        time.sleep(seconds)
        return torch.nn.ReLU()

    inputs = (TensorSpec("x", (1, 4)),)
    return NetworkRecipe("slow", inputs, ("y",), fingerprint="1", load=load)


def start(folder: Path, log: Path, seconds: float) -> subprocess.Popen:
    arguments = [sys.executable, __file__, str(folder), str(log), str(seconds)]
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "builds.txt"
    path.touch()
    return path


def test_of_two_builders_one_builds(tmp_path, log):
    folder = tmp_path / "engines"
    processes = [start(folder, log, 2.0) for _ in range(2)]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert log.read_text() == "loading\n"
    assert answers == ["openvino built", "openvino cached without torch"]


def test_a_killed_builder_leaves_nothing_that_disturbs(tmp_path, log):
    folder = tmp_path / "engines"
    victim = start(folder, log, 60.0)
    wait_for(lambda: log.read_text() == "loading\n")
    (left_over,) = [path for path in folder.iterdir() if path.suffix == ".lock"]
    engine = left_over.with_suffix("")
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()

    built = obtain_engine(recipe(log, 0.0), EngineSettings(cache_dir=folder))
    assert not built.info.cached
    assert sorted(path.name for path in folder.iterdir()) == [engine.name, left_over.name]
    assert obtain_engine(recipe(log, 0.0), EngineSettings(cache_dir=folder)).info.cached


def test_start_from_the_cache_imports_no_torch(tmp_path, log):
    folder = tmp_path / "engines"
    obtain_engine(recipe(log, 0.0), EngineSettings(cache_dir=folder))
    process = start(folder, log, 0.0)
    answer = process.communicate(timeout=60)[0]
    assert answer.strip() == "openvino cached without torch"


def test_an_engine_that_is_there_waits_for_no_lock(tmp_path, log):
    """Nodes that start together load side by side."""
    folder = tmp_path / "engines"
    obtain_engine(recipe(log, 0.0), EngineSettings(cache_dir=folder))
    (lock,) = folder.glob("*.lock")
    with FileLock(lock):
        answer = start(folder, log, 0.0).communicate(timeout=60)[0]
    assert answer.strip() == "openvino cached without torch"


if __name__ == "__main__":
    settings = EngineSettings(cache_dir=Path(sys.argv[1]))
    result = obtain_engine(recipe(Path(sys.argv[2]), float(sys.argv[3])), settings).info
    words = [result.backend, "cached" if result.cached else "built"]
    sys.stdout.write(" ".join(words + ([] if "torch" in sys.modules else ["without torch"])))
