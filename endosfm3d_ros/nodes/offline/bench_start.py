"""How long the node takes to be ready, and whether its first frame takes longer than the others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from time import monotonic

import numpy as np
import rclpy

from endosfm3d_ros.bench.rounds import Result
from endosfm3d_ros.files.locations import CACHE_VARIABLE
from endosfm3d_ros.nodes.offline.activity import wait_until_active
from endosfm3d_ros.nodes.offline.bench import READY, Feed
from endosfm3d_ros.nodes.offline.process import PipelineProcess
from endosfm3d_ros.nodes.system.dds_profile import prepare_environment
from endosfm3d_ros.types import Frame


def bench_start(frames: list[Frame], rounds: int = 3) -> Result:
    """Starts of the node with everything on; stereo frames, one after the other.

    `start_first` is from the start of the process to the first depth image with an empty cache,
    `start_again` with a filled one; `first_frame` is the first round trip of a ready node, its
    ratio the one to the median of those that follow.

    Raises:
        EndoError: the node does not become ready, or does not answer.
    """
    prepare_environment()
    kept = os.environ.get(CACHE_VARIABLE)
    starts: list[tuple[float, list[float]]] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ[CACHE_VARIABLE] = str(Path(folder, "cache"))
            starts = [_start(frames, Path(folder, f"log_{i}")) for i in range(1 + rounds)]
    finally:
        os.environ.pop(CACHE_VARIABLE)
        if kept is not None:
            os.environ[CACHE_VARIABLE] = kept
    again = [seconds * 1e3 for seconds, _ in starts[1:]]
    firsts = [trips[0] for _, trips in starts]
    ratios = [trips[0] / np.median(trips[1:]) for _, trips in starts]
    return {
        "start_first": _row([starts[0][0] * 1e3]),
        "start_again": _row(again),
        "first_frame": _row(firsts) | {"ratio_to": {"median frame": float(np.max(ratios))}},
    }


def _start(frames: list[Frame], log: Path) -> tuple[float, list[float]]:
    """(s to the first output, ms of each round trip) of one process."""
    begin = monotonic()
    process = PipelineProcess(log, {})
    rclpy.init()
    try:
        wait_until_active("/endosfm3d", READY, alive=lambda: process.running)
        feed = Feed()
        trips = [feed.round_trip(frame, i) for i, frame in enumerate(frames)]
        return monotonic() - begin - sum(trips[1:]) * 1e-3, trips
    finally:
        rclpy.shutdown()
        process.stop()


def _row(milliseconds: list[float]) -> dict[str, object]:
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return {"p50_ms": float(p50), "p95_ms": float(p95), "ratio_to": {}}
