"""The question whether gsplat's kernels are ready never starts their compilation."""

from __future__ import annotations

import sys

import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.splatting import cuda, gsplat_kernels


@pytest.fixture
def uncompiled(monkeypatch, tmp_path):
    """A gsplat from source whose import of `cuda._backend` would compile, so it must not happen."""
    package = tmp_path / "site" / "gsplat"
    (package / "cuda").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cuda" / "__init__.py").touch()
    (package / "cuda" / "_backend.py").write_text("raise AssertionError('it compiles')")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for name in [name for name in sys.modules if name.split(".")[0] == "gsplat"]:
        monkeypatch.delitem(sys.modules, name)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "gsplat"]:
        del sys.modules[name]


def test_what_to_run_is_said_and_nothing_is_compiled(uncompiled):
    assert gsplat_kernels.installed()
    assert not gsplat_kernels.compiled()
    with pytest.raises(ConfigurationError, match="run `endosfm3d engines build` once"):
        cuda.require_gsplat()


def test_kernels_of_a_prebuilt_wheel_count(uncompiled):
    (uncompiled / "csrc.py").touch()
    assert gsplat_kernels.compiled()


def test_kernels_in_torchs_cache_count(uncompiled):
    from torch.utils.cpp_extension import _get_build_directory

    folder = _get_build_directory(gsplat_kernels.EXTENSION, verbose=False)
    with open(f"{folder}/{gsplat_kernels.EXTENSION}.so", "w"):
        pass
    assert gsplat_kernels.compiled()


def test_no_kernels_after_compiling_is_one_sentence(uncompiled):
    (uncompiled / "cuda" / "_backend.py").write_text("_C = None")
    with pytest.raises(ConfigurationError, match="install the CUDA toolkit"):
        gsplat_kernels.load_kernels()


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gsplat_kernels, "installed", lambda: False)
    with pytest.raises(ConfigurationError, match="pip install"):
        cuda.require_gsplat()
