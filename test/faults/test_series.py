"""What only shows after minutes: soak, resets, lifecycle, kills, malformed messages. Slow.

    python -m pytest test/faults/test_series.py --slow -s

How long each runs is set by ENDOSFM3D_SOAK_MINUTES, _RESETS, _LOOPS, _KILLS and _MALFORMED.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from live_scene import LiveScene, shots
from malformed import Malformed
from node_harness import STEREO_TOPICS, Probe
from process_figures import Figures, amount, growth, report, slope
from std_srvs.srv import Trigger

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]

START = 100 * 10**9
SETTLED = 20.0  # s after which a node has what it needs
STAGES = {"tissue_map": True, "tools": "topic", "quality": "auto"}
UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
DOWN = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)


def is_exact(probe: Probe) -> bool:
    """Whether every image that came is accounted for."""
    status = probe.messages["status"][-1]
    counted = status.frames_processed + status.frames_dropped + status.frames_rejected
    return status.frames_received == counted > 0


def forget(probe: Probe) -> None:
    """What a series has heard so far; the newest status stays."""
    for heard in probe.messages.values():
        del heard[:-1]


def test_a_soak_at_30_hz_keeps_memory_threads_and_descriptors(start_node, probe):
    process = start_node(**STAGES)
    scene = LiveScene(probe, shots(), rate=30.0)
    scene.play(SETTLED)
    rows, end = [], time.monotonic() + 60 * amount("SOAK_MINUTES", 30)
    while time.monotonic() < end:
        scene.play(5.0)
        rows.append(Figures.of(process.process.pid))
        forget(probe)
    assert probe.wait(lambda: is_exact(probe)), probe.messages["status"][-1]
    status = probe.messages["status"][-1]
    first, last = rows[0], rows[-1]
    report(
        f"soak: {slope(rows):+.2f} MB/min, {first.megabytes:.0f} to {last.megabytes:.0f} MB, "
        f"threads {first.threads} to {last.threads}, descriptors {first.descriptors} to "
        f"{last.descriptors}; received {status.frames_received}, processed "
        f"{status.frames_processed}, dropped {status.frames_dropped}, rejected "
        f"{status.frames_rejected}"
    )
    assert slope(rows) < 1.0
    assert last.threads <= first.threads + 1
    assert last.descriptors <= first.descriptors + 2


def test_resets_take_no_memory(start_node, probe):
    process = start_node(**STAGES)
    scene = LiveScene(probe, shots(), rate=20.0)
    scene.play(SETTLED)
    megabytes = []
    for _ in range(int(amount("RESETS", 500))):
        assert probe.call("reset", Trigger).success
        scene.play(0.25)
        megabytes.append(Figures.of(process.process.pid).megabytes)
        forget(probe)
    report(f"resets: {growth(megabytes):+.3f} MB each, {megabytes[0]:.0f} to {megabytes[-1]:.0f}")
    assert growth(megabytes) < 0.05
    assert process.running


def test_lifecycle_loops_take_no_memory(start_node, probe):
    process = start_node(**STAGES)
    probe.connect(*STEREO_TOPICS)
    clip = list(SimulatedSequence("moving", frames=4, width=160, height=128, start=START))
    megabytes, rows = [], []
    for i in range(int(amount("LOOPS", 1000))):
        for frame in clip:
            probe.send_stereo(frame)
            probe.spin(0.05)
        for step in (*DOWN, *UP):
            answer = probe.call("change_state", ChangeState, transition=Transition(id=step))
            assert answer.success, (i, step, process.log[-2000:])
        rows.append(Figures.of(process.process.pid))
        megabytes.append(rows[-1].megabytes)
        forget(probe)
    report(f"lifecycle: {growth(megabytes):+.3f} MB a loop over the last half of {len(rows)}, "
          f"{megabytes[0]:.0f} to {megabytes[-1]:.0f} MB")  # fmt: skip
    assert growth(megabytes) < 0.05
    assert rows[-1].threads <= rows[2].threads + 1
    assert rows[-1].descriptors <= rows[2].descriptors + 2


def shared_memory(pid: int | str) -> set[Path]:
    """Files in shared memory that a process has mapped or open, locks beside them included."""
    lines = Path("/proc", str(pid), "maps").read_text().splitlines()
    mapped = {Path(line.split()[-1]) for line in lines if "/dev/shm/" in line}
    return mapped | {path.with_name(f"{path.name}_el") for path in mapped}


def test_kills_leave_nothing_and_cost_seconds(start_node, probe, tmp_path):
    clip = list(SimulatedSequence("moving", frames=4, width=160, height=128, start=START))
    settings = {**STAGES, "map_folder": str(tmp_path), "map_snapshots": 1.0}
    waits, owned, left, dice = [], set(), 0, random.Random(0)
    for _ in range(int(amount("KILLS", 50))):
        begin = time.monotonic()
        process = start_node(**settings)
        for heard in probe.messages.values():
            heard.clear()
        probe.connect(*STEREO_TOPICS, timeout=120.0)
        listening = time.monotonic()
        i = 0
        while not probe.messages["depth/image"]:
            frame = clip[i % 4]
            i += 1
            probe.send_stereo(frame.__class__(**{**vars(frame), "stamp": time.time_ns()}))
            probe.spin(0.1)
            assert time.monotonic() - begin < 120
        waits.append((listening - begin, time.monotonic() - listening))
        left += len([path for path in owned if path.exists()])
        assert not list(tmp_path.rglob("*.endosfm3d-*"))  # half-written by the one before
        probe.spin(dice.uniform(0.0, 3.0))
        owned = shared_memory(process.process.pid) - shared_memory("self")
        process.process.kill()
        process.process.wait()
    ready, first = np.median(waits, axis=0)
    report(
        f"kills: {len(waits)}, ready after {ready:.1f} s, first output {first:.1f} s later "
        f"(medians), longest {max(sum(wait) for wait in waits):.1f} s; {left} files of dead "
        "nodes in shared memory after the next start"
    )
    assert left == 0


def test_malformed_messages_of_every_kind_harm_nothing(start_node, probe):
    process = start_node(**STAGES, scale_source="kinematics")
    clip = list(SimulatedSequence("moving", frames=4, width=160, height=128, start=START))
    probe.connect(*STEREO_TOPICS)
    source = Malformed(probe, clip, seed=0)
    count, longest, memory = int(amount("MALFORMED", 10_000)), 0.0, []
    heard = time.monotonic()
    for i in range(count):
        source.send()
        before = len(probe.messages["status"])
        probe.spin(0.004)
        if len(probe.messages["status"]) > before:
            heard = time.monotonic()
        longest = max(longest, time.monotonic() - heard)
        if i % 500 == 0:
            memory.append(Figures.of(process.process.pid).megabytes)
            forget(probe)
    probe.spin(3.0)
    assert process.running
    assert probe.call("reset", Trigger).success
    source.send_good_frames()
    assert probe.wait(lambda: set(source.good) & set(probe.stamps("depth/image"))), process.log
    down = Transition(id=Transition.TRANSITION_DEACTIVATE)  # what waits for its parts counts then
    assert probe.call("change_state", ChangeState, transition=down).success
    assert probe.wait(lambda: is_exact(probe)), probe.messages["status"][-1]
    failed = [
        line
        for line in process.log.splitlines()
        if "callback failed" in line or "cannot be handed on" in line
    ]
    after = Figures.of(process.process.pid).megabytes
    report(f"malformed: {count} messages, longest silence of the status {longest:.1f} s, "
          f"{len(failed)} unexpected exceptions, {memory[1]:.0f} to {after:.0f} MB")  # fmt: skip
    assert not failed, failed[:5]
    assert longest < 2.5
