"""The example that docs/consuming.md shows stops whenever it must."""

from __future__ import annotations

from pathlib import Path

import pytest
from endosfm3d_ros.msg import Grade, PipelineStatus, ToolClearance

from endosfm3d_ros.nodes.messages.consumer import FreshClearances

ROOT = Path(__file__).resolve().parents[3]


def status(worth: int = Grade.GOOD) -> PipelineStatus:
    return PipelineStatus(lifetime=2.5, grades=[Grade(name="clearance", grade=worth)])


def said(valid: bool = True, lifetime: float = 0.4) -> ToolClearance:
    bound = 0.012 if valid else float("nan")
    return ToolClearance(id=3, valid=valid, lower_bound_95=bound, lifetime=lifetime)


@pytest.fixture
def fresh() -> FreshClearances:
    fresh = FreshClearances()
    fresh.hear_status(status(), 10.0)
    fresh.hear(said(), 10.0)
    return fresh


def test_what_is_fresh_and_valid_is_used(fresh):
    assert fresh.lower_bound(3, 10.3) == pytest.approx(0.012)


def test_silence_means_stop(fresh):
    assert fresh.lower_bound(3, 10.5) is None
    fresh.hear(said(lifetime=60.0), 12.0)
    assert fresh.lower_bound(3, 12.6) is None  # the status fell silent
    assert FreshClearances().lower_bound(3, 0.0) is None


def test_another_tool_an_invalid_word_and_a_bad_grade_mean_stop(fresh):
    assert fresh.lower_bound(4, 10.1) is None
    fresh.hear(said(valid=False, lifetime=0.0), 10.1)
    assert fresh.lower_bound(3, 10.1) is None
    fresh.hear(said(), 10.1)
    fresh.hear_status(status(Grade.INVALID), 10.1)
    assert fresh.lower_bound(3, 10.2) is None
    fresh.hear_status(PipelineStatus(lifetime=2.5), 10.1)
    assert fresh.lower_bound(3, 10.2) is None


def test_the_page_shows_code_that_runs():
    page = (ROOT / "docs" / "consuming.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    compile(code, "consuming.md", "exec")
    for name in ("FreshClearances", "lower_bound", "hear_status"):
        assert name in code
