"""What is said about clearance, and that it is taken back."""

from types import SimpleNamespace

import numpy as np
import pytest

from endosfm3d_ros.nodes.messages import clearance as clearance_messages
from endosfm3d_ros.nodes.messages.clearance import ClearanceReports
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.scene.clearance import Clearance
from endosfm3d_ros.types import ScaleSource

NAMES = FrameNames(camera="camera")


def an_update(*ids):
    tools = [SimpleNamespace(track=SimpleNamespace(id=tool)) for tool in ids]
    return SimpleNamespace(
        frame=SimpleNamespace(stamp=7 * 10**9),
        depth=SimpleNamespace(scale=ScaleSource.STEREO),
        tools=SimpleNamespace(tools=tools),
    )


@pytest.fixture
def reports(monkeypatch):
    """Every tool is 5 mm away from measured tissue."""

    def found(update):
        ids = [tool.track.id for tool in update.tools.tools]
        return [Clearance(i, np.zeros(3), 0.005, 0.004, "measured", True) for i in ids]

    monkeypatch.setattr(clearance_messages, "clearances", found)
    return ClearanceReports()


def test_a_fresh_clearance_is_valid(reports):
    (message,) = reports.of_update(an_update(3), NAMES, 0.1, heard=True)
    assert (message.valid, message.id, message.distance) == (True, 3, 0.005)
    assert message.age == pytest.approx(0.1)


def test_a_late_one_is_not(reports):
    (message,) = reports.of_update(an_update(3), NAMES, 0.51, heard=True)
    assert not message.valid and np.isnan(message.distance)
    assert message.reason == "the image is 0.5 s old"


def test_a_tool_that_left_is_withdrawn_once(reports):
    reports.of_update(an_update(1, 2), NAMES, 0.1, heard=True)
    messages = reports.of_update(an_update(2), NAMES, 0.1, heard=True)
    assert [(m.id, m.valid, m.reason) for m in messages] == [
        (2, True, ""),
        (1, False, "the tool has left"),
    ]
    assert len(reports.of_update(an_update(2), NAMES, 0.1, heard=True)) == 1


def test_withdrawal_names_every_tool_even_when_nobody_listened(reports):
    assert reports.of_update(an_update(1, 2), NAMES, 0.1, heard=False) == []
    messages = reports.withdrawn("images stopped", 0.7)
    assert [m.id for m in messages] == [1, 2] and not any(m.valid for m in messages)
    assert {m.header.stamp.sec for m in messages} == {7}
    assert reports.withdrawn("again", 1.0)[0].reason == "again"


def test_a_tool_that_closes_in_says_how_fast_and_how_long_it_has(monkeypatch):
    distances = iter(0.02 - 0.001 * np.arange(6))

    def found(update):
        distance = next(distances)
        bound = distance - 0.005
        return [Clearance(1, np.zeros(3), distance, bound, "measured", True, origin=np.ones(3))]

    monkeypatch.setattr(clearance_messages, "clearances", found)
    reports, update = ClearanceReports(), an_update(1)
    for i in range(6):
        update.frame.stamp = i * 10**8
        (message,) = reports.of_update(update, NAMES, 0.1, heard=True)
    assert message.closing_speed == pytest.approx(0.01, rel=1e-6)
    assert message.time_to_contact == pytest.approx(1.0, rel=1e-6)
    assert message.state == "free" and message.origin.x == 1.0
    (withdrawn,) = reports.withdrawn("images stopped", 0.7)
    assert withdrawn.state == "unknown" and np.isnan(withdrawn.closing_speed)
