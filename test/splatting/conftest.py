"""Fixtures: the torch oracle and generated scenes, loaded by path because tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from endosfm3d_ros.splatting import cpu


def _load(name: str) -> ModuleType:
    full_name = f"splatting_{name}"
    if full_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            full_name, Path(__file__).parent / f"{name}.py"
        )
        sys.modules[full_name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full_name])
    return sys.modules[full_name]


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The same rasteriser in plain torch."""
    return _load("oracle")


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    """Generated scenes and the comparison with the oracle."""
    return _load("scenes")


@pytest.fixture
def own_threads():
    """`cpu.set_threads`; the number is restored after the test."""
    before = cpu._Rasterize.threads
    yield cpu.set_threads
    cpu.set_threads(before)
