"""Detail follows what the machine can do, slowly up and quickly down."""

from __future__ import annotations

from typing import get_args

import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.pipeline.quality import BALANCED, FAST, QualityControl, QualityName


def steps(control: QualityControl, until: float, work: float, saturated: bool, begin=0.0) -> list:
    """(time, name) of every change."""
    changes, name, now = [], control.step.name, begin
    while now < until:
        if (step := control.observe(now, work, saturated).name) != name:
            name = step
            changes.append((round(now, 1), name))
        now += 0.1
    return changes


def test_a_machine_that_does_not_keep_up_goes_down_after_two_seconds():
    assert steps(QualityControl(), 10, work=0.2, saturated=True) == [(2.0, "fast")]


def test_a_slow_camera_or_a_short_hitch_changes_nothing():
    control = QualityControl()
    assert steps(control, 20, work=0.2, saturated=False) == []
    assert steps(control, 21.5, work=0.2, saturated=True, begin=20) == []
    assert steps(control, 30, work=0.1, saturated=True, begin=21.5) == []


def test_up_again_takes_longer_each_time_that_it_did_not_last():
    control, waits = QualityControl(), []
    now = 0.0
    for _ in range(6):
        (down,) = steps(control, now + 5, 0.2, True, now)
        begin = down[0]
        (up,) = steps(control, begin + 130, 0.03, False, begin)
        waits.append(round(up[0] - begin))
        now = up[0]
    assert waits == [8, 16, 32, 64, 120, 120]


def test_work_between_the_two_limits_keeps_the_step():
    control = QualityControl()
    control.begin(seconds=0.3)
    assert steps(control, 300, work=0.09, saturated=True) == []
    assert control.step is FAST


def test_the_start_is_what_was_measured_and_a_name_is_kept():
    assert QualityControl().begin(0.05) is BALANCED
    assert QualityControl().begin(0.1) is FAST
    assert QualityControl().begin(float("nan")) is BALANCED
    for name in get_args(QualityName)[1:]:
        control = QualityControl(name)
        assert control.begin(9.0).name == name
        assert steps(control, 30, 9.0, True) == []


def test_an_unknown_name_lists_the_accepted_ones():
    with pytest.raises(ConfigurationError, match="'best': accepted are auto, fast, balanced, fine"):
        QualityControl("best")
