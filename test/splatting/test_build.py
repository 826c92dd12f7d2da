"""Finding, building and caching the compiled library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.splatting import build, library

ROOT = Path(build.__file__).resolve().parents[2]

RENDER = """
import torch
from endosfm3d_ros.splatting import library
from endosfm3d_ros.splatting.rasterization import rasterization
g = torch.Generator().manual_seed(1)
n = 500
means = (torch.rand(n, 3, generator=g) - 0.5) * torch.tensor([1.6, 1.2, 0.5])
means[:, 2] += 1.2
leaves = [means, torch.randn(n, 4, generator=g), torch.rand(n, 3, generator=g) * 0.05,
          torch.rand(n, generator=g), torch.rand(n, 3, generator=g)]
leaves = [leaf.requires_grad_() for leaf in leaves]
K = torch.tensor([[[60.0, 0, 40], [0, 60, 30], [0, 0, 1]]])
render, alpha, _ = rasterization(*leaves, torch.eye(4)[None], K, 80, 60, render_mode="RGB+D")
render.square().sum().backward()
print(library.find_library().name)
torch.save([render.detach(), alpha.detach(), *(leaf.grad for leaf in leaves)], OUTPUT)
"""


def run_render(output: Path, capability: str) -> str:
    environment = {
        **os.environ, "ATEN_CPU_CAPABILITY": capability, "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    code = RENDER.replace("OUTPUT", repr(str(output)))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif("avx2" not in library.supported_instruction_sets(), reason="needs AVX2")
def test_every_instruction_set_gives_the_same_image(tmp_path, monkeypatch):
    """torch can be told to use an older instruction set, and the rasteriser follows it."""
    results = {}
    for capability in [*library.supported_instruction_sets()[:-1], "default"]:
        name = run_render(tmp_path / capability, capability)
        assert name == build.library_name(capability.replace("default", "baseline"))
        results[capability] = torch.load(tmp_path / capability)
    wanted = results.pop("default")
    assert results
    for found in results.values():
        for a, b in zip(found, wanted):
            assert (a - b).abs().max() <= 1e-4 * b.abs().max()


def test_build_appears_complete_and_keeps_nothing_else(tmp_path):
    name = library.supported_instruction_sets()[0]
    path = build.build_library(tmp_path / "new" / "folder", name)
    assert path.is_file()
    assert os.listdir(path.parent) == [build.library_name(name)]


def test_no_compiler_is_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigurationError, match=r"no C\+\+ compiler among c\+\+, g\+\+, clang"):
        build.find_compiler()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigurationError, match="no-such-compiler"):
        build.find_compiler()


def test_refused_sources_name_the_first_error(tmp_path, monkeypatch):
    broken = tmp_path / "csrc"
    broken.mkdir()
    (broken / "api.cpp").write_text("this is not C++\n")
    monkeypatch.setattr(build, "SOURCE_FOLDER", broken)
    with pytest.raises(ConfigurationError, match=r"could not compile .*api\.cpp:1"):
        build.build_library(tmp_path / "out", "baseline")
    assert os.listdir(tmp_path / "out") == []


def changed_sources(tmp_path, monkeypatch) -> None:
    changed = tmp_path / "csrc"
    changed.mkdir()
    (changed / "api.cpp").write_text("// other\n")
    monkeypatch.setattr(build, "SOURCE_FOLDER", changed)


def test_a_library_fits_by_content_whatever_its_time_stamps(tmp_path, monkeypatch):
    library_file = tmp_path / "library.so"
    library_file.write_bytes(b"\x7fELF.." + (build.MARK + build.source_digest()).encode() + b"..")
    os.utime(library_file, (0, 0))
    assert build.fits(library_file)
    changed_sources(tmp_path, monkeypatch)
    assert not build.fits(library_file)
    assert not build.fits(tmp_path / "missing.so")


def test_the_installed_libraries_are_of_these_sources():
    """CMake and Python compute the same digest: an installed package never compiles."""
    installed = [
        folder / build.library_name(name)
        for folder in library.installed_folders()
        for name in build.instruction_sets()
        if (folder / build.library_name(name)).is_file()
    ]
    if not installed:
        pytest.skip("the package is not installed beside this checkout")
    assert all(build.fits(path) for path in installed)
    assert library.find_library() in installed


@pytest.fixture
def checkout_only(tmp_path, monkeypatch):
    """No library is installed, and compiling writes what it is told to."""
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "installed_folders", lambda: [tmp_path / "installed"])
    compiled = []

    def record(folder: Path, name: str) -> Path:
        compiled.append(folder / build.library_name(name))
        compiled[-1].write_bytes(f"library {len(compiled)}".encode())
        return compiled[-1]

    monkeypatch.setattr(build, "build_library", record)
    return compiled


def test_cache_is_used_and_movable(tmp_path, checkout_only):
    """One build per digest in $ENDOSFM3D_CACHE; an installed library that fits wins."""
    first, second = library.find_library(), library.find_library()
    assert first == second == checkout_only[0]
    assert len(checkout_only) == 1
    assert first.is_relative_to(tmp_path / "splatting")

    installed = tmp_path / "installed" / build.library_name("baseline")
    installed.parent.mkdir()
    installed.write_bytes((build.MARK + build.source_digest()).encode())
    assert library.find_library() == installed
    installed.write_bytes((build.MARK + "of other sources").encode())
    assert library.find_library() == first


@pytest.mark.parametrize("damage", ["cut off", "flipped", "empty", "no checksum", "a folder"])
def test_a_damaged_library_in_the_cache_is_compiled_again(checkout_only, damage):
    path = library.find_library()
    if damage == "no checksum":
        path.with_name(path.name + ".sha256").unlink()
    elif damage == "a folder":
        path.with_name(path.name + ".sha256").unlink()
        path.with_name(path.name + ".sha256").mkdir()
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut off": whole[:4], "flipped": whole[::-1], "empty": b""}[damage])
    if damage == "a folder":
        with pytest.raises(ConfigurationError, match=r"sha256|cannot be written"):
            library.find_library()
        return
    assert library.find_library() == path
    assert len(checkout_only) == 2
    assert path.read_bytes() == b"library 2"


def test_left_overs_of_killed_builds_are_swept(checkout_only):
    place = library.find_library().parent
    (place / f"{build.LEFT_OVER}abc").mkdir()
    (place / f"{build.LEFT_OVER}abc" / "half.so").write_bytes(b"half")
    (place / library.find_library().name).unlink()
    library.find_library()
    assert not list(place.glob(f"{build.LEFT_OVER}*"))


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(library, "installed_folders", list)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        library.find_library()


def test_two_processes_compile_once(tmp_path):
    """They wait for each other, and both get a library that is whole."""
    code = (
        "from endosfm3d_ros.splatting import library; library.installed_folders = list; "
        "print(library.find_library().stat().st_ino)"
    )
    environment = {**os.environ, "ENDOSFM3D_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = {process.communicate(timeout=200)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1


def test_installation_without_library_or_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "installed_folders", lambda: [tmp_path])
    monkeypatch.setattr(build, "SOURCE_FOLDER", tmp_path)
    with pytest.raises(ConfigurationError, match="no compiled CPU rasteriser"):
        library.find_library()
