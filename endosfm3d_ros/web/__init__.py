"""Scenes in a browser: one small viewer for the page of a run and for the live view."""

from __future__ import annotations

from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"


@cache
def asset(name: str) -> str:
    """Text of a file that pages are made of."""
    return (ASSETS / name).read_text(encoding="utf-8")
