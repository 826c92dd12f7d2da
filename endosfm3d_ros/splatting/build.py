"""Compiles the CPU rasteriser. Knows no torch, so that an installation can use it too.

The library exists once per instruction set of a machine family, and the loader takes the best one
that the processor has: a package built on one machine runs on every other of its family.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError

SOURCE_FOLDER = Path(__file__).parent / "csrc"
MARK = "endosfm3d-splatting-sources:"  # stands in every library before the digest of its sources
LEFT_OVER = ".building."  # of a build that was killed; the next one removes it

COMMON_FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fvisibility=hidden",
    # parts of -ffast-math that keep NaN, infinity and the order of sums as written
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)

# Best first. The x86 flags are exactly what torch.backends.cpu.get_cpu_capability() promises.
INSTRUCTION_SETS = {
    "x86_64": {
        "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"),
        "avx2": ("-mavx2", "-mfma"),
        "baseline": (),
    },
    "other": {"baseline": ()},
}


def instruction_sets() -> dict[str, tuple[str, ...]]:
    """Compiler flags by instruction set of this machine's family, best first."""
    family = "x86_64" if platform.machine().lower() in ("x86_64", "amd64") else "other"
    return INSTRUCTION_SETS[family]


def library_name(instruction_set: str) -> str:
    """File name of the shared library for one instruction set."""
    return f"libendosfm3d_splatting_{instruction_set}.so"


def sources() -> list[Path]:
    """Every C++ file that the library is made of, headers included; empty once installed."""
    units = list(SOURCE_FOLDER.glob("*.cpp"))
    return sorted([*units, *SOURCE_FOLDER.glob("*.hpp")]) if units else []


def find_compiler() -> str:
    """Path of the C++ compiler: $CXX, else c++, g++ or clang++.

    Raises ConfigurationError where there is none.
    """
    candidates = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for name in candidates:
        if path := shutil.which(name):
            return path
    raise ConfigurationError(
        f"no C++ compiler among {', '.join(candidates)}: splatting on the CPU needs one that "
        "accepts -std=c++17 (Ubuntu and Debian: apt install g++)"
    )


def source_digest() -> str:
    """Changes with every C++ file; empty where there are none. CMakeLists.txt computes the same."""
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sources()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def fits(library: Path) -> bool:
    """Whether a library was made from the sources that are here; any does where there are none.

    Its content decides, never its time stamp: copies, checkouts and packages change these.
    """
    try:
        return (MARK + source_digest()).encode() in library.read_bytes()
    except OSError:
        return False


def build_library(folder: Path, instruction_set: str) -> Path:
    """Compiles the library for one instruction set into `folder` and returns its path.

    The file appears complete or not at all, also when two processes build at once. Raises
    ConfigurationError where there is no compiler, it refuses the sources, or `folder` cannot be
    written.
    """
    compiler = find_compiler()
    target = folder / library_name(instruction_set)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=LEFT_OVER) as scratch:
            made = Path(scratch, target.name)
            _compile(compiler, instruction_set, made)
            os.replace(made, target)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error}") from error
    return target


def _compile(compiler: str, instruction_set: str, target: Path) -> None:
    files = [str(path) for path in sources() if path.suffix == ".cpp"]
    flags = [*COMMON_FLAGS, *instruction_sets()[instruction_set]]
    digest = f'-DENDOSFM3D_SOURCES="{source_digest()}"'
    command = [compiler, *flags, digest, *files, "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigurationError(
            f"{compiler} could not compile the CPU rasteriser (needs C++17): "
            f"{_first_error(done.stderr)}"
        )


def build_all(folder: Path) -> list[Path]:
    """Compiles every instruction set of this machine's family, as an installation needs it."""
    return [build_library(folder, name) for name in instruction_sets()]


def _first_error(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if "error" in line.lower()]
    return (lines or stderr.splitlines() or ["no message"])[0].strip()
