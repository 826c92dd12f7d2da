"""One package runs, the installed one, wherever it is started and whatever HOME is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHADOW = "raise SystemExit('the package in the working directory was taken')\n"


def run(arguments: list[object], folder: Path, environment: dict[str, str], **options):
    return subprocess.run(
        [str(argument) for argument in arguments], cwd=folder, env=environment, text=True,
        capture_output=True, check=False, timeout=120, **options,
    )  # fmt: skip


@pytest.fixture
def other_package(tmp_path) -> Path:
    """A folder that holds another `endosfm3d_ros/`, and modules with names of others."""
    folder = tmp_path / "wörk space"
    (folder / "endosfm3d_ros").mkdir(parents=True)
    for name in ("endosfm3d_ros/__init__.py", "cv2.py", "typer.py", "launch.py"):
        (folder / name).write_text(SHADOW)
    return folder


@pytest.mark.parametrize("path", ["", ":", ".", None], ids="PYTHONPATH={}".format)
def test_nothing_in_the_working_directory_is_taken(command, other_package, bare, path):
    if path is not None:
        bare["PYTHONPATH"] = path
    done = run([command, "doctor", "--no-measure"], other_package, bare | {"HOME": "/root"})
    assert done.returncode == 0, done.stderr


def test_from_the_checkout_the_installed_package_runs(command, bare):
    """The checkout holds no compiled rasteriser; it was built during the first frame once."""
    text = Path(os.path.realpath(command)).read_text()
    program = text[text.index("-c '") + 4 : text.rindex("'")]
    shown = program.replace("sys.exit(main())", "print(sys.modules['endosfm3d_ros'].__file__)")
    interpreter = text[text.index('exec "') + 6 : text.index('" -c')]
    done = run([interpreter, "-c", shown], ROOT, bare)
    assert Path(done.stdout.strip()).is_relative_to(sys.prefix), done.stderr


@pytest.fixture
def node(command, tmp_path, bare):
    """Starts the installed node without stages; ended afterwards."""
    started = []

    def start(folder: Path, wrapper: tuple[str, ...] = (), **variables: str):
        log = tmp_path / f"log {len(started)}"
        arguments = ["tissue_map:=false", "tools:='off'", "depth_source:=shading"]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*wrapper, command.parent.parent / "lib/endosfm3d_ros/pipeline", "--ros-args",
                 *(item for argument in arguments for item in ("-p", argument))],
                cwd=folder, env=bare | variables, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        started.append(process)
        end = time.monotonic() + 90
        while "configured:" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
        return log.read_text()

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nobody", ""])
def test_a_home_that_cannot_be_written_is_a_warning(node, tmp_path, home):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    said = node(tmp_path, TMPDIR=str(temporary), **({"HOME": home} if home else {}))
    assert "Traceback" not in said
    if home:
        assert list(temporary.glob("endosfm3d-*/log/*"))


def test_logs_and_caches_go_where_the_variables_say(command, tmp_path, bare):
    code = (
        "from endosfm3d_ros.files import locations as l; print(l.cache_folder(), l.data_folder())"
    )
    variables = {
        "XDG_CACHE_HOME": str(tmp_path / "a cache"), "XDG_DATA_HOME": str(tmp_path / "dätä"),
    }  # fmt: skip
    python = command.parent / "python"
    done = run([python, "-c", code], "/", bare | variables | {"HOME": "/dev/null"})
    assert done.stdout.strip() == f"{tmp_path}/a cache/endosfm3d {tmp_path}/dätä/endosfm3d"
    done = run([python, "-c", code], "/", bare | variables | {"ENDOSFM3D_CACHE": str(tmp_path)})
    assert done.stdout.startswith(f"{tmp_path} ")


def test_a_checkout_that_cannot_be_written_is_enough(node, tmp_path, bare):
    """Installed in it, started from it; nothing is written beside the sources."""
    wrapper = ("unshare", "--mount", "sh", "-c")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
    if (
        not shutil.which("unshare")
        or run([*wrapper, mount, ROOT, "true"], ROOT, os.environ).returncode
    ):
        pytest.skip("this account may not mount")
    said = node(Path("/"), (*wrapper, mount, str(ROOT)), HOME=str(tmp_path))
    assert "Traceback" not in said
