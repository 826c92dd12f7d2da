"""Row: one rogue /tf message inverted our tree for good."""

from __future__ import annotations

import pytest
from geometry_msgs.msg import TransformStamped
from node_harness import OUTPUT_QOS, Probe
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes.outputs.tf_mode import ParentWatch, TfMode

CAMERA = "endoscope_left_optical_frame"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return ParentWatch({"endoscope_map", "endoscope_odom"}, clock)


def said(watch, clock, times, period=0.1, parent="robot"):
    for _ in range(times):
        watch.heard(CAMERA, parent)
        clock.now += period


def test_one_message_is_doubt_for_a_second_and_then_nothing(watch, clock):
    watch.heard(CAMERA, "rogue")
    assert watch.in_doubt(CAMERA) and watch.parent_of(CAMERA) is None
    clock.now += 1.1
    assert not watch.in_doubt(CAMERA) and watch.parent_of(CAMERA) is None


def test_a_burst_is_no_confirmation_but_going_on_is(watch, clock):
    said(watch, clock, 50, period=0.001, parent="rogue")
    assert watch.parent_of(CAMERA) is None
    said(watch, clock, 8)
    assert watch.parent_of(CAMERA) == "robot" and not watch.in_doubt(CAMERA)


def test_a_rogue_does_not_unseat_the_robot(watch, clock):
    said(watch, clock, 8)
    watch.heard(CAMERA, "rogue")
    assert watch.parent_of(CAMERA) == "robot"


def test_a_robot_that_falls_silent_is_forgotten_and_known_again(watch, clock):
    said(watch, clock, 8)
    clock.now += 10.1
    assert watch.parent_of(CAMERA) is None and not watch.in_doubt(CAMERA)
    watch.heard(CAMERA, "rogue")
    assert watch.parent_of(CAMERA) is None
    clock.now += 2.0
    said(watch, clock, 8)
    assert watch.parent_of(CAMERA) == "robot"


def test_a_static_parent_lasts_as_long_as_somebody_publishes_static_ones(watch, clock):
    watch.heard(CAMERA, "arm", static=True)
    clock.now += 1000.0
    assert watch.parent_of(CAMERA) == "arm"
    watch.forget_static()
    assert watch.parent_of(CAMERA) is None


def test_our_own_frames_and_thousands_of_others_are_no_parents(watch):
    for i in range(5000):
        watch.heard(f"frame_{i}", "world")
    watch.heard(CAMERA, "endoscope_odom", static=True)
    watch.heard(CAMERA, CAMERA, static=True)
    assert watch.parent_of(CAMERA) is None
    assert len(watch._claims) <= ParentWatch.LIMIT


def test_over_dds_a_rogue_changes_nothing_for_good():
    probe = Probe()
    try:
        mode = TfMode(probe.node, "true", {"endoscope_map"})
        publisher = probe.node.create_publisher(TFMessage, "/tf", OUTPUT_QOS)
        rogue = TransformStamped(child_frame_id=CAMERA)
        rogue.header.frame_id = "rogue"
        assert probe.wait(lambda: publisher.get_subscription_count() >= 2)
        publisher.publish(TFMessage(transforms=[rogue]))
        assert probe.wait(lambda: mode.for_camera(CAMERA) == "false")
        assert probe.wait(lambda: mode.for_camera(CAMERA) == "true")
        for _ in range(8):
            publisher.publish(TFMessage(transforms=[rogue]))
            probe.spin(0.1)
        assert probe.wait(lambda: mode.for_camera(CAMERA) == "inverted")
        mode.close()
    finally:
        probe.close()
