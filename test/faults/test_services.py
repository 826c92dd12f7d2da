"""Services while the pipeline works: answered in time, and nothing that is asked stops anything."""

from __future__ import annotations

import os
import threading
import time

import pytest
from endosfm3d_ros.srv import MapFile, SetIntrinsicsMode
from node_harness import Probe
from std_srvs.srv import Trigger

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.nodes.services import between_frames
from endosfm3d_ros.nodes.services.between_frames import BetweenFrames, NoTurn, Turns
from endosfm3d_ros.pipeline.live import LivePipeline

START = 100 * 10**9


class Steps:
    """A pipeline without stages."""

    class slack:
        waited = staticmethod(lambda seconds: None)

    count = 0

    def reset(self) -> None:
        """Nothing to forget."""


@pytest.fixture
def live():
    running = LivePipeline(Steps(), lambda update: None, lambda frame, error: None)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def caller(live):
    """Offers an action as a service of a node, and calls it."""
    probe = Probe()
    services = BetweenFrames(probe.node, lambda: live)
    client = probe.node.create_client(Trigger, "asked")

    def call(action=None):
        if action is not None:
            services.add(Trigger, "asked", action)
        assert client.wait_for_service(10.0)
        future = client.call_async(Trigger.Request())
        assert probe.wait(future.done)
        return future.result()

    call.spin = probe.spin
    yield call
    services.destroy()
    probe.close()


def test_an_action_that_raises_is_an_answer_and_the_pipeline_goes_on(caller, live):
    """Row: the pipeline thread died of a map file."""

    def action(request, between):
        with pytest.raises(InputError):
            between(lambda pipeline: (_ for _ in ()).throw(InputError("unusable")))
        return between(lambda pipeline: 1 // 0)

    answer = caller(action)
    assert not answer.success and "ZeroDivisionError" in answer.message
    assert Turns(live, lambda: True)(lambda pipeline: pipeline.count) == 0


def test_slow_work_is_said_to_go_on_and_is_not_begun_twice(caller, monkeypatch):
    """Row: the executor was blocked for as long as a file took."""
    monkeypatch.setattr(between_frames, "ANSWER", 0.2)
    release, begun = threading.Event(), []

    def action(request, between):
        begun.append(time.monotonic())
        release.wait(20)
        return "done"

    answer = caller(action)
    assert not answer.success and "still working after 0.2 s" in answer.message
    assert "still working on the request before" in caller().message
    release.set()
    caller.spin(0.3)
    assert len(begun) == 1
    answer = caller()
    assert answer.success and answer.message == "done"


def test_a_turn_that_never_comes_is_given_up_and_changes_nothing_later():
    """Kind: a request under way when the node is deactivated."""
    live = LivePipeline(Steps(), lambda update: None, lambda frame, error: None)  # not started
    changed = []
    with pytest.raises(NoTurn):
        Turns(live, lambda: False)(changed.append)
    live._act()
    assert not changed


def test_files_that_break_a_reader_leave_the_node_alive_and_answering(start_node, probe, tmp_path):
    """Rows: `~nobody/x.npz`, FIFO, `/etc/x.npz`, foreign file; a real node."""
    maps = tmp_path / "maps"
    maps.mkdir()
    os.mkfifo(maps / "pipe.npz")
    (maps / "foreign.npz").write_bytes(b"PK\x03\x04" + bytes(100))
    start_node(tissue_map=True, map_folder=str(maps))
    probe.connect("image_raw")
    for name in ("~nobody/x.npz", "/etc/x.npz", "pipe.npz", "foreign.npz", "a\udcff.npz"[:1]):
        for service in ("save_map", "load_map"):
            answer = probe.call(service, MapFile, path=name)
            assert not answer.success and answer.message
    answer = probe.call("set_intrinsics_mode", SetIntrinsicsMode, mode="guess")
    assert not answer.success and "guess" in answer.message
    assert probe.call("set_intrinsics_mode", SetIntrinsicsMode, mode="fixed").success
    assert not probe.call("remake_tools", Trigger).success
