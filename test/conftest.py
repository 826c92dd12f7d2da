"""Shared fixtures. Tests that need the research clips are skipped where these are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with research data and golden vectors; skips the test where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("research data folder ../shared is not beside this checkout")
    return SHARED
