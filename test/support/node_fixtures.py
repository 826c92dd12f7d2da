"""Real nodes over real DDS, kept apart from whatever else runs on the machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
profile = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile)

pytest.importorskip("rclpy", reason="rclpy is not installed")

from node_harness import Probe  # noqa: E402

from endosfm3d_ros.nodes.offline.process import WITHOUT_STAGES, PipelineProcess  # noqa: E402

STEADY = WITHOUT_STAGES | {"quality": "balanced"}


@pytest.fixture
def probe() -> Iterator[Probe]:
    """A node of the test: publishes inputs, collects outputs."""
    probe = Probe()
    yield probe
    probe.close()


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., PipelineProcess]]:
    """Starts the pipeline as a process of its own; stopped at the end of the test.

    Map and instruments are off unless a test asks for them: they have tests of their own. Quality
    does not follow the machine, which may be busy with other tests.
    """
    started: list[PipelineProcess] = []

    def start(**parameters: object) -> PipelineProcess:
        log = tmp_path / f"node_{len(started)}.log"
        started.append(PipelineProcess(log, STEADY | parameters))
        return started[-1]

    yield start
    for process in started:
        process.stop()
