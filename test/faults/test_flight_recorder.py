"""What led to an error is on disk afterwards, within bounds, and can be played again."""

from __future__ import annotations

import json

import pytest
from node_harness import STEREO_TOPICS
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from endosfm3d_ros.datasets.bags.file import BagFile
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.nodes.health.flight_recorder import Kept, Tape
from endosfm3d_ros.nodes.offline.player import BagPlayer, PlayerConfig

SECOND = 10**9
START = 100 * SECOND


def kept(topic: str, at: float, size: int = 1000, kind: type = Image) -> Kept:
    return Kept(topic, kind, bytes(size), round(at * SECOND))


def test_a_tape_keeps_the_last_seconds():
    tape = Tape(seconds=2.0, megabytes=10.0)
    for i in range(100):
        tape.add(kept("image_raw", 0.1 * i))
    times = [message.stamp / SECOND for message in tape.copy()]
    assert times[0] == pytest.approx(7.9) and times[-1] == pytest.approx(9.9)


def test_a_tape_never_takes_more_memory_than_it_may():
    tape = Tape(seconds=100.0, megabytes=0.1)
    for i in range(500):
        tape.add(kept("image_raw", 0.1 * i, size=20_000))
        assert tape._size <= 100_000
    assert len(tape.copy()) == 5
    tape.add(kept("image_raw", 51.0, size=200_000))  # larger than all of it
    assert tape.copy() == []


def test_calibration_that_came_long_ago_is_still_on_the_tape():
    tape = Tape(seconds=1.0, megabytes=10.0)
    tape.add(kept("camera_info", 0.0, kind=CameraInfo))
    for i in range(50):
        tape.add(kept("image_raw", 0.1 * i))
    first, second, *_ = tape.copy()
    assert (first.topic, first.stamp) == ("camera_info", second.stamp)


def test_an_error_and_a_request_write_what_led_to_them(start_node, probe, tmp_path):
    flights = tmp_path / "flights"
    process = start_node(flight_recorder=20.0, flight_folder=str(flights))
    probe.connect(*STEREO_TOPICS)
    clip = SimulatedSequence("moving", frames=6, width=160, height=128, fps=10, start=START)
    probe.spin(1.0)  # the recorder finds the inputs
    for frame in clip:
        probe.send_stereo(frame)
        assert probe.answered(frame.stamp)
    assert probe.wait(lambda: probe.messages["status"][-1].level == 2)  # no image any more
    assert probe.wait(lambda: "flight: " in process.log), process.log
    answer = probe.call("save_flight", Trigger)
    assert answer.success, answer.message
    assert sorted(flights.glob("flight_*")), (answer.message, process.log)
    newest = sorted(flights.glob("flight_*"))[-1]
    bag = BagFile(newest)
    assert bag.counts["/image_raw"] == bag.counts["/right/image_raw"] == len(clip)
    assert bag.counts["/endosfm3d/status"] > 0 and bag.counts["/tf"] >= len(clip)
    topics = tuple(f"/{topic}" for topic in STEREO_TOPICS)
    before = probe.messages["status"][-1].frames_received
    player = BagPlayer(probe.node, newest, PlayerConfig(rate=5.0, topics=topics))
    assert player.wait_for_listener("/image_raw", 10.0)
    player.play()
    assert probe.wait(lambda: probe.messages["status"][-1].frames_received >= before + 4)


def test_without_a_recorder_the_request_names_the_parameter(start_node, probe):
    start_node()
    probe.connect("image_raw")
    answer = probe.call("save_flight", Trigger)
    assert not answer.success and "flight_recorder" in answer.message
    assert json.dumps(answer.message)
