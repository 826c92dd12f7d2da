"""Every topic has a promise, and no promise is without its topic."""

from __future__ import annotations

import re
from pathlib import Path

from endosfm3d_ros.nodes.outputs.catalogue import all_topics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "stability.md"


def test_every_topic_has_one_promise():
    rows = re.findall(r"^\| `~/(\S+)` \| (.+) \|$", PAGE.read_text(), re.M)
    assert sorted(name for name, _ in rows) == sorted([*all_topics(), "status"])
    assert {promise for _, promise in rows} == {"stable", "growing", "for people"}
