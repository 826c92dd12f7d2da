"""What is said in words for people names the same things as the lists in the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from endosfm3d_ros.sfm.depth_sources import NAMES

PACKAGE = Path(__file__).resolve().parents[2] / "endosfm3d_ros"


@pytest.mark.parametrize("file", ["cli/run.py", "cli/evaluate.py", "nodes/node/launching.py"])
def test_help_lists_every_depth_source(file):
    """Help is shown before anything heavy is imported, so it repeats the names."""
    *first, last = NAMES
    assert f"{', '.join(first)} or {last}" in (PACKAGE / file).read_text()
