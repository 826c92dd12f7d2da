"""The package as somebody meets it who has just installed it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def command() -> Path:
    """The installed `endosfm3d`; skips where the tests run without an installation."""
    path = Path(sys.prefix, "bin", "endosfm3d")
    if not path.exists():
        pytest.skip(f"the package is not installed in {sys.prefix}")
    return path


@pytest.fixture(scope="session")
def bootstrap() -> ModuleType:
    """The set-up script as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bare() -> dict[str, str]:
    """An environment with nothing of this process but the way to its programs."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "PYENV_ROOT") if name in os.environ}
