"""The published evaluators, number by number, against golden vectors of the published code."""

from __future__ import annotations

import pytest

from endosfm3d_ros.evaluation.parity import evaluators
from endosfm3d_ros.evaluation.parity.golden import GoldenFolder


@pytest.mark.shared
@pytest.mark.parametrize(
    ("checks", "count"), [(evaluators.depth_checks, 8), (evaluators.pose_checks, 15)]
)
def test_released_evaluators_agree(shared, checks, count):
    results = list(checks(GoldenFolder(shared / "golden")))
    assert len(results) == count
    assert [check.name for check in results if not check.ok] == []
