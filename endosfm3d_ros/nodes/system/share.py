"""Finds the package's data files, installed or in a checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import endosfm3d_ros


def shared_file(relative: str) -> Path | None:
    """A file such as `config/fastdds.xml` or `msg/StageStatus.msg`; None where it is missing."""
    for folder in _folders():
        if (folder / relative).is_file():
            return folder / relative
    return None


def message_definitions() -> dict[str, str]:
    """{name: text} of every message of this package; empty where they are not installed."""
    for folder in _folders():
        found = {path.stem: path.read_text() for path in sorted(folder.glob("msg/*.msg"))}
        if found:
            return found
    return {}


def _folders() -> list[Path]:
    """Beside the package in a checkout, then the ament prefixes, then the environment."""
    checkouts = [Path(path).parent for path in endosfm3d_ros.__path__]
    prefixes = [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    shares = [Path(prefix, "share", "endosfm3d_ros") for prefix in (*prefixes, sys.prefix)]
    return [*checkouts, *shares]
