"""Every image is counted once: received = processed + dropped + rejected. The real node."""

from __future__ import annotations

import numpy as np
import pytest
from endosfm3d_ros.msg import PipelineStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import LEFT, STEREO_TOPICS, Probe
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.nodes.messages.conversions import image_message

START = 100 * 10**9
STEP = 10**8


@pytest.fixture(scope="module")
def clip() -> list:
    return list(SimulatedSequence("moving", frames=10, width=160, height=128, fps=10, start=START))


def sums(status: PipelineStatus) -> tuple[int, int]:
    counted = status.frames_processed + status.frames_dropped + status.frames_rejected
    return status.frames_received, counted


def agree(probe: Probe, received: int) -> bool:
    """Whether all these images, and no more, are in the newest status and accounted for."""
    probe.wait(lambda: sums(probe.messages["status"][-1]) == (received, received), 15.0)
    return sums(probe.messages["status"][-1]) == (received, received)


def test_every_image_is_counted_once_whatever_becomes_of_it(start_node, probe, clip):
    """Row: received 358 = processed 90 + dropped 17 + rejected 1,025."""
    start_node()
    probe.connect(*STEREO_TOPICS)
    sent = 0

    def left(stamp: int, **changes: object) -> None:
        nonlocal sent
        message = image_message(clip[sent % 10].image, "rgb8", stamp, LEFT)
        for name, value in changes.items():
            setattr(message, name, value)
        probe.publisher("image_raw", Image).publish(message)
        sent += 1
        probe.spin(0.03)

    def pair(frame) -> None:
        nonlocal sent
        probe.send_stereo(frame)
        sent += 1
        probe.spin(0.03)

    for frame in clip:  # processed, or dropped by a slow machine
        pair(frame)
    assert agree(probe, sent)
    now = clip[-1].stamp
    left(now)  # a stamp that came before
    left(now - STEP // 2)  # a late one
    left(now + STEP, encoding="p010")
    left(now + STEP, step=7)
    left(now + STEP)  # one eye only, of a pair
    left(now + STEP, header=image_message(clip[0].image, "rgb8", 0, "another").header)
    for _ in range(3):  # other inputs count as other inputs
        probe.publisher("right/image_raw", Image).publish(Image(encoding="p010"))
    assert probe.call("pause", SetBool, data=True).success
    for i in range(5):
        left(now + (2 + i) * STEP)
    assert probe.call("pause", SetBool, data=False).success
    for frame in clip:  # eyes exchanged: each pair fails
        exchanged = frame.stereo
        probe.send_info(exchanged.left, frame.stamp, exchanged.P_left)
        probe.send_image(
            frame.image, now + 2 * 10**9 + frame.stamp - START, topic="right/image_raw"
        )
        left(now + 2 * 10**9 + frame.stamp - START)
    assert probe.call("reset", Trigger).success
    for frame in clip[:3]:
        pair(frame)
    assert probe.call("reset", Trigger).success
    probe.spin(0.5)
    status = probe.messages["status"][-1]
    assert status.frames_rejected >= 9
    # one image may still wait for its other eye: deactivation accounts for it as well
    change = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert probe.call("change_state", ChangeState, transition=change.transition).success
    assert agree(probe, sent), probe.messages["status"][-1]
    last = probe.messages["status"][-1]
    assert (last.level, last.message) == (2, "the node is not active")
    assert {grade.grade for grade in last.grades} == {2}
    up = Transition(id=Transition.TRANSITION_ACTIVATE)
    assert probe.call("change_state", ChangeState, transition=up).success
    before = len(probe.messages["depth/image"])
    for frame in clip[3:7]:
        pair(frame)
    assert probe.wait(lambda: len(probe.messages["depth/image"]) > before)
    assert agree(probe, sent)
    assert np.isfinite(probe.messages["status"][-1].input_rate_hz)
