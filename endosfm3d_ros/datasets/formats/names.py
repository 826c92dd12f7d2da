"""Names of files as people read them, and in the order that people count."""

from __future__ import annotations

import os
import re
from pathlib import Path


def shown(name: str | Path) -> str:
    """A name that can be printed: bytes that are no UTF-8 become question marks."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")


def by_number(name: str) -> list[tuple[int, str]]:
    """Sorting key under which bag_2 comes before bag_10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
