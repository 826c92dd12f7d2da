"""Shared fixtures. Tests that need the research clips are skipped where these are absent."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")


# Tests that start nodes or whole installations. In several processes each room stays together.
WITH_NODES = {"nodes", "faults", "cli", "documents", "stranger"}


def room_of(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def group_of(item: pytest.Item) -> str:
    """What runs in one process: a room with nodes, and else each file by itself."""
    room = room_of(item)
    return room if room in WITH_NODES else str(item.path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: room_of(item) not in WITH_NODES)  # the long groups begin first
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def same_chance() -> None:
    """What a test draws from global generators does not depend on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with research data and golden vectors; skips the test where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("research data folder ../shared is not beside this checkout")
    return SHARED
