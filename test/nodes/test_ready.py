"""Ready means ready, and silence has a reason. The real node over DDS."""

from __future__ import annotations

import time

import numpy as np
import pytest
from node_harness import LEFT, STEREO_TOPICS

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.nodes.messages.conversions import image_message
from endosfm3d_ros.nodes.offline.activity import NodeAbsent, wait_until_active
from endosfm3d_ros.nodes.offline.process import PipelineProcess

START, SECOND = 100 * 10**9, 10**9
NODE = "/endosfm3d"


def test_active_comes_after_engines_and_a_run_of_every_stage(
    start_node, probe, tmp_path, monkeypatch
):
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path / "cache"))
    process = start_node(depth_source="shading", tools="network", tissue_map=True)
    wait_until_active(NODE, 120, alive=lambda: process.running)
    order = [
        process.log.index(words)
        for words in (
            "building engine tools",
            "running every stage on made-up images",
            "updates a second can be expected here",
            "configured:",
        )
    ]
    assert order == sorted(order)
    *clip, last = SimulatedSequence("instruments", frames=4, width=320, height=256, start=START)
    probe.connect("image_raw")
    for frame in clip:
        probe.send_image(frame.image, frame.stamp)
        assert probe.answered(frame.stamp)
    probe.spin(2.2)
    probe.send_image(last.image, last.stamp + SECOND)
    assert probe.answered(last.stamp + SECOND)
    assert probe.wait(lambda: "the scene is there" in process.log)
    assert "the scene is there: images 320x256; depth from shading; no scale" in process.log
    assert "Better with: the right eye and its calibration" in process.log


def test_a_cache_of_damaged_and_foreign_files_is_built_again(start_node, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(cache))
    settings = {"depth_source": "shading", "tools": "network", "tissue_map": True}

    def started() -> PipelineProcess:
        process = start_node(**settings)
        end = time.monotonic() + 120
        while "configured:" not in process.log:
            assert process.running and time.monotonic() < end, process.log
            time.sleep(0.05)
        assert process.stop(30) == 0
        return process

    assert "building engine tools" in started().log
    assert "building engine tools" not in started().log
    for path in [path for path in cache.rglob("*") if path.is_file()]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        path.with_name(f"{path.name}.half").write_bytes(b"left by a process that was killed")
    (cache / "splatting").mkdir(exist_ok=True)
    (cache / "splatting" / "foreign.so").write_bytes(b"no library")
    assert "building engine tools" in started().log


def test_quality_is_shown_and_refused_where_it_is_wrong(start_node, probe):
    start_node(quality="fast")
    assert probe.wait(lambda: probe.messages["status"])
    wrong = start_node(quality="best")
    assert wrong.process.wait(60) == 1
    assert "'best' is none of auto, fast, balanced, fine" in wrong.log
    clip = SimulatedSequence("moving", frames=1, width=320, height=256, start=START)
    probe.connect(*STEREO_TOPICS)
    (frame,) = clip
    probe.send_stereo(frame)
    assert probe.answered(START)
    assert probe.messages["depth/image"][-1].width == 320  # matched at 160
    assert probe.wait(lambda: probe.messages["status"][-1].quality == "fast")


@pytest.mark.parametrize("fault", ["encoding", "right eye"])
def test_images_that_give_nothing_are_an_error_with_the_reason(start_node, probe, fault):
    process = start_node(depth_source="stereo" if fault == "right eye" else "auto")
    topics = ("image_raw", "right/image_raw") if fault == "right eye" else ("image_raw",)
    probe.connect(*topics)
    encoding = "rgb8" if fault == "right eye" else "yuv999"
    begin, i = time.monotonic(), 0

    def error() -> bool:
        heard = probe.messages["status"]
        return bool(heard) and heard[-1].level == 2 and "nothing goes out" in heard[-1].message

    while not error():
        stamp = START + i * SECOND // 20
        message = image_message(np.zeros((48, 64, 3), np.uint8), "rgb8", stamp, LEFT)
        message.encoding = encoding
        probe.publisher("image_raw", type(message)).publish(message)
        probe.spin(0.05)
        i += 1
        assert time.monotonic() - begin < 60, probe.messages["status"][-1].message
    said = probe.messages["status"][-1].message
    assert ("rejected" in said) if fault == "encoding" else ("part right (none came)" in said)

    def logged() -> bool:
        errors = [line for line in process.log.splitlines() if "[ERROR]" in line]
        return any("nothing goes out" in line for line in errors)

    def diagnosed() -> bool:
        entries = [entry for heard in probe.messages["/diagnostics"] for entry in heard.status]
        words = [entry.message for entry in entries if entry.name.endswith("processing")]
        return any("nothing goes out" in said for said in words)

    assert probe.wait(logged) and probe.wait(diagnosed)


def test_waiting_says_what_is_there_instead(start_node, probe, tmp_path):
    with pytest.raises(NodeAbsent, match="there is no node /nobody after 0 s"):
        wait_until_active("/nobody", 5, appears_within=0.2)
    idle = start_node(autostart=False)
    with pytest.raises(EndoError, match="is not active after 6 s: it is unconfigured"):
        wait_until_active(NODE, 6, alive=lambda: idle.running)
    idle.stop()
    dead = PipelineProcess(tmp_path / "log", {"depth_source": "lidar"})
    with pytest.raises(EndoError, match=r"no node /endosfm3d any more|has ended"):
        wait_until_active(NODE, 60, alive=lambda: dead.running)
    assert "'lidar' is none of auto, topic" in dead.last_words
