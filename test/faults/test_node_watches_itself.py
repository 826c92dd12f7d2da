"""Memory that runs out and an executor that hangs are said, and nothing stays valid."""

from __future__ import annotations

import threading
import time

import pytest
from endosfm3d_ros.msg import PipelineStatus
from node_harness import Probe
from rclpy.executors import SingleThreadedExecutor

from endosfm3d_ros.nodes.health.health import Level
from endosfm3d_ros.nodes.health.memory_watch import MemoryWatch
from endosfm3d_ros.nodes.node.pipeline_node import PipelineNode
from endosfm3d_ros.runtime.memory import available_mb, resident_mb

START = 100 * 10**9


class Memory:
    """A process whose memory a test sets."""

    def __init__(self, limit: float = 1000.0) -> None:
        self.now, self.spared = 500.0, 0
        self.watch = MemoryWatch(limit, self.spare, lambda: self.now)

    def spare(self) -> None:
        self.spared += 1

    def level(self, time: float) -> Level | None:
        return next((finding.level for finding in self.watch.findings(time)), None)


def test_memory_is_spared_before_it_is_short_and_then_it_is_an_error():
    memory = Memory()
    assert memory.level(0.0) is None
    memory.now = 900.0
    assert memory.level(1.5) == Level.WARN
    assert memory.level(3.0) == Level.WARN
    assert memory.spared == 1  # not with every look
    memory.level(20.0)
    assert memory.spared == 2
    memory.now = 1100.0
    assert memory.level(22.0) == Level.ERROR
    memory.now = 500.0
    assert memory.level(24.0) is None


def test_the_limit_is_a_share_of_the_machine_where_none_is_given():
    assert Memory(limit=0.0).watch.limit == available_mb()
    assert 10 < resident_mb() < available_mb()


@pytest.mark.parametrize("limit", [100.0])
def test_a_node_over_its_limit_says_so_and_gives_up_detail(start_node, probe, limit):
    process = start_node(memory_limit=limit, quality="balanced")
    probe.connect("image_raw")
    assert probe.status_says("MB of memory in use")
    status = probe.messages["status"][-1]
    assert status.level == 2 and status.memory_mb > limit
    assert "less detail" in process.log


def test_while_the_executor_hangs_the_status_is_an_error(monkeypatch):
    """Row: an executor that was blocked said nothing, and the last words stayed valid."""
    probe = Probe()
    node = PipelineNode(automatically_declare_parameters_from_overrides=False)
    executor, over = SingleThreadedExecutor(), threading.Event()
    try:
        executor.add_node(node)
        node.trigger_configure()
        node.trigger_activate()

        def spin() -> None:
            while not over.is_set():
                executor.spin_once(timeout_sec=0.05)

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        assert probe.wait(lambda: probe.messages["status"])
        hang = node.create_timer(0.01, lambda: (hang.cancel(), time.sleep(2.5)))

        def hung() -> list[PipelineStatus]:
            said = probe.messages["status"]
            return [m for m in said if "has not come round" in m.message and m.level == 2]

        assert probe.wait(hung, 5.0)
        assert {grade.grade for grade in hung()[-1].grades} == {2}
        assert probe.wait(lambda: "come round" not in probe.messages["status"][-1].message)
    finally:
        over.set()
        thread.join()
        executor.remove_node(node)
        node.trigger_shutdown()
        node.destroy_node()
        probe.close()
