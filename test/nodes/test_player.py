"""The bag player over DDS: every message, in order, at its time, as it was recorded."""

from __future__ import annotations

import os
import shutil
from time import monotonic

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from endosfm3d_ros.datasets.bags.file import BagFile
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.nodes.messages.conversions import image_array, image_message, nanoseconds
from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
from endosfm3d_ros.nodes.offline.player import BagPlayer, PlayerConfig

STEP = 50_000_000
COUNT = 10
RECORDED = (COUNT - 1) * STEP * 1e-9  # s


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bag") / "bag"
    with BagWriter(folder) as writer:
        for i in range(COUNT):
            stamp = 10**9 + i * STEP
            pixels = np.full((48, 64, 3), i, np.uint8)
            for topic in ("/camera/image_raw", "/other/image_raw"):
                writer.write(topic, image_message(pixels, "rgb8", stamp, "camera"), stamp)
    return folder


def played(probe, bag, config: PlayerConfig) -> float:
    """Play while the probe listens; returns the seconds it took."""
    probe.collect("/camera/image_raw", Image)
    player = BagPlayer(probe.node, bag, config)
    assert player.wait_for_listener("/camera/image_raw", 20.0)
    begin = monotonic()
    player.play()
    seconds = monotonic() - begin
    probe.spin(0.5)
    return seconds


def test_every_message_in_order_at_the_recorded_pace(probe, bag):
    seconds = played(probe, bag, PlayerConfig())
    assert probe.stamps("/camera/image_raw") == [10**9 + i * STEP for i in range(COUNT)]
    assert image_array(probe.messages["/camera/image_raw"][7])[0, 0, 0] == 7
    assert seconds > 0.95 * RECORDED


def test_rate_loops_and_chosen_topics(probe, bag):
    probe.collect("/other/image_raw", Image)
    config = PlayerConfig(rate=5.0, loops=2, topics=("/camera/image_raw",))
    seconds = played(probe, bag, config)
    assert len(probe.messages["/camera/image_raw"]) == 2 * COUNT
    assert not probe.messages["/other/image_raw"]
    assert seconds < 2 * RECORDED


def test_the_clock_follows_the_bag(probe, bag):
    probe.collect("/clock", Clock)
    played(probe, bag, PlayerConfig(clock=100.0))
    times = [nanoseconds(message.clock) for message in probe.messages["/clock"]]
    assert times == sorted(times)
    assert len(times) > 3 * COUNT
    assert times[-1] == 10**9 + (COUNT - 1) * STEP


def test_unusable_requests(probe, bag, tmp_path):
    with pytest.raises(ConfigurationError, match=r"rate 0"):
        PlayerConfig(rate=0)
    with pytest.raises(InputError, match="/nothing"):
        BagPlayer(probe.node, bag, PlayerConfig(topics=("/nothing",)))
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {}")
    with pytest.raises(InputError, match=r"holds no \.mcap or \.db3 file"):
        BagPlayer(probe.node, tmp_path)


def test_a_bag_without_its_list_is_played(probe, bag, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(bag, bare)
    (bare / "metadata.yaml").unlink()
    player = BagPlayer(probe.node, bare)
    assert player.messages == BagPlayer(probe.node, bag).messages and not player.faults


def test_what_of_a_bag_is_lost_is_said(probe, bag, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(bag, cut)
    file = next(cut.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: int(0.5 * file.stat().st_size)])
    player = BagPlayer(probe.node, cut)
    assert player.messages > 0 and any("cut off or damaged" in fault for fault in player.faults)


def test_a_bag_that_is_written_has_checksums_and_a_printable_name(bag, tmp_path):
    assert BagFile(bag).checked
    with pytest.raises(ConfigurationError, match="has to be UTF-8"):
        BagWriter(tmp_path / os.fsdecode(b"kl\xe4r"))
