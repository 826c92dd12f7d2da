"""The example of a consumer: slows near tissue, stops where the distance is not known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from endosfm3d_ros.msg import ToolClearance
from geometry_msgs.msg import PointStamped, TwistStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.examples.speed_limit import Heard, LimitConfig, SpeedLimit
from endosfm3d_ros.nodes.examples.virtual_fixture import VirtualFixture
from endosfm3d_ros.nodes.outputs.qos import OUTPUT

NAN = float("nan")


def limited(bound: float, valid: bool = True, age: float = 0.0, reason: str = "") -> SpeedLimit:
    limit = SpeedLimit()
    limit.hear(1, Heard(valid, bound, reason, 100.0 - age))
    return limit


@pytest.mark.parametrize(
    ("bound", "share"), [(0.020, 1.0), (0.015, 1.0), (0.009, 0.5), (0.003, 0.0), (0.0, 0.0)]
)
def test_speed_falls_with_the_lower_bound(bound, share):
    assert limited(bound).factor(100.0)[0] == pytest.approx(share)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (SpeedLimit(), "no clearance was heard"),
        (limited(0.02, age=0.31), "an image 0.31 s ago"),
        (limited(0.02, age=NAN), "an image nan s ago"),
        (limited(NAN, valid=False, reason="the scale is relative"), "the scale is relative"),
        (limited(NAN), "tissue may be nan mm away"),
    ],
)
def test_what_is_not_known_stops_and_says_why(limit, reason):
    factor, why = limit.factor(100.0)
    assert factor == 0 and reason in why


def test_the_nearest_instrument_decides_and_others_can_be_left_out():
    for instrument, share in ((0, 0.5), (1, 1.0)):
        limit = SpeedLimit(instrument=instrument)
        limit.hear(1, Heard(True, 0.02, "", 100.0))
        limit.hear(2, Heard(True, 0.009, "", 100.0))
        assert limit.factor(100.0)[0] == pytest.approx(share)


def test_an_instrument_that_left_long_ago_counts_no_more_but_the_last_one_does():
    limit = limited(0.02, age=9.0)
    limit.forget_silent(100.0, 5.0)
    assert limit.factor(100.0)[0] == 0
    limit.hear(2, Heard(True, 0.02, "", 100.0))
    limit.forget_silent(100.0, 5.0)
    assert limit.factor(100.0)[0] == 1


def test_margins_that_make_no_sense_are_refused():
    with pytest.raises(ConfigurationError, match="margin < free"):
        LimitConfig(margin=0.02, free=0.01)


class Bench:
    """The fixture beside a surgeon and a pipeline that speak when told to."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self.speaker = Node("speaker")
        self.wanted = self.speaker.create_publisher(TwistStamped, "wanted", OUTPUT)
        self.clearance = self.speaker.create_publisher(
            ToolClearance, "/endosfm3d/tools/clearance", OUTPUT
        )
        self.speed, self.tip = [], []
        self.speaker.create_subscription(
            TwistStamped, "allowed", lambda m: self.speed.append(m.twist.linear.z), OUTPUT
        )
        self.speaker.create_subscription(
            PointStamped, "tip", lambda m: self.tip.append(m.point.z), OUTPUT
        )
        self._executor = SingleThreadedExecutor()
        for node in (self.speaker, VirtualFixture()):
            self._executor.add_node(node)

    def until(self, condition: Callable[[], bool], say: ToolClearance | None = None) -> bool:
        """Command 20 mm/s and repeat a clearance until something holds."""
        end, command = time.monotonic() + 15, TwistStamped()
        command.twist.linear.z = 0.02
        while time.monotonic() < end:
            self.wanted.publish(command)
            if say is not None:
                self.clearance.publish(say)
            for _ in range(5):
                self._executor.spin_once(timeout_sec=0.01)
            if condition():
                return True
        return False


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    rclpy.try_shutdown()


def test_the_arm_moves_slows_and_stops_over_dds(bench):
    far = ToolClearance(id=1, valid=True, distance=0.05, lower_bound_95=0.04)
    near = ToolClearance(id=1, valid=True, distance=0.01, lower_bound_95=0.009)
    lost = ToolClearance(id=1, valid=False, distance=NAN, reason="tracking is lost")
    assert bench.until(lambda: len(bench.speed) > 3)
    assert set(bench.speed) == {0.0}  # nothing was heard yet
    assert bench.until(lambda: bench.speed[-1] == pytest.approx(0.02), far)
    assert bench.until(lambda: bench.speed[-1] == pytest.approx(0.01), near)
    assert bench.tip[-1] > 0
    assert bench.until(lambda: bench.speed[-1] == 0, lost)
    assert bench.until(lambda: bench.speed[-1] > 0, far)
    assert bench.until(lambda: bench.speed[-1] == 0)  # silence
    stopped = bench.tip[-1]
    count = len(bench.tip)
    assert bench.until(lambda: len(bench.tip) > count + 10)
    assert bench.tip[-1] == pytest.approx(stopped)
