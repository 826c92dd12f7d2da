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


def test_key_follows_sources_and_flags(tmp_path, monkeypatch):
    keys = {build.build_key(name) for name in build.instruction_sets()}
    assert len(keys) == len(build.instruction_sets())
    changed = tmp_path / "csrc"
    changed.mkdir()
    (changed / "api.cpp").write_text("// other\n")
    monkeypatch.setattr(build, "SOURCE_FOLDER", changed)
    assert build.build_key("baseline") not in keys


def test_cache_is_used_and_movable(tmp_path, monkeypatch):
    """One build per key in $ENDOSFM3D_CACHE; an installed library newer than the sources wins."""
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "__file__", str(tmp_path / "installed" / "library.py"))
    built = []

    def record(folder: Path, name: str) -> Path:
        folder.mkdir(parents=True)
        built.append(folder / build.library_name(name))
        built[-1].touch()
        return built[-1]

    monkeypatch.setattr(build, "build_library", record)
    first, second = library.find_library(), library.find_library()
    assert first == second == built[0]
    assert len(built) == 1
    assert first.is_relative_to(tmp_path / "splatting")

    installed = tmp_path / "installed" / build.library_name("baseline")
    installed.parent.mkdir()
    installed.touch()
    assert library.find_library() == installed
    os.utime(installed, (0, 0))
    assert library.find_library() == first


def test_installation_without_library_or_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    monkeypatch.setattr(build, "SOURCE_FOLDER", tmp_path)
    with pytest.raises(ConfigurationError, match="no compiled CPU rasteriser"):
        library.find_library()
