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
from pathlib import Path

from endosfm3d_ros.atomic import replacing
from endosfm3d_ros.errors import ConfigurationError

SOURCE_FOLDER = Path(__file__).parent / "csrc"

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


def build_key(instruction_set: str) -> str:
    """Changes whenever the compiled library would: sources, compiler version and flags."""
    digest = hashlib.sha256()
    version = subprocess.run([find_compiler(), "--version"], capture_output=True, check=False)
    digest.update(version.stdout)
    digest.update(" ".join([*COMMON_FLAGS, *instruction_sets()[instruction_set]]).encode())
    for source in sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def build_library(folder: Path, instruction_set: str) -> Path:
    """Compiles the library for one instruction set into `folder` and returns its path.

    The file appears complete or not at all, also when two processes build at once. Raises
    ConfigurationError where there is no compiler or it refuses the sources.
    """
    compiler = find_compiler()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / library_name(instruction_set)
    with replacing(target) as scratch:
        files = [str(path) for path in sources() if path.suffix == ".cpp"]
        flags = [*COMMON_FLAGS, *instruction_sets()[instruction_set]]
        command = [compiler, *flags, *files, "-o", str(scratch)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConfigurationError(
                f"{compiler} could not compile the CPU rasteriser (needs C++17): "
                f"{_first_error(done.stderr)}"
            )
    return target


def build_all(folder: Path) -> list[Path]:
    """Compiles every instruction set of this machine's family, as an installation needs it."""
    return [build_library(folder, name) for name in instruction_sets()]


def _first_error(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if "error" in line.lower()]
    return (lines or stderr.splitlines() or ["no message"])[0].strip()
