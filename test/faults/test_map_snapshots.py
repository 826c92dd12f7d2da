"""The map survives a killed node, in two files."""

from __future__ import annotations

import pytest
from node_harness import STEREO_TOPICS

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

START = 5 * 10**9


@pytest.fixture(scope="module")
def clip() -> list:
    return list(SimulatedSequence("moving", frames=10, width=320, height=256, fps=5, start=START))


def play(probe, frames) -> None:
    for frame in frames:
        probe.send_stereo(frame)
        assert probe.answered(frame.stamp)


def test_a_restarted_node_goes_on_with_the_last_whole_copy(start_node, probe, clip, tmp_path):
    settings = {"tissue_map": True, "map_folder": str(tmp_path), "map_reload": True}
    process = start_node(**settings, map_snapshots=1.0)
    probe.connect(*STEREO_TOPICS)
    play(probe, clip[:5])
    copies = {tmp_path / "snapshot_a.npz", tmp_path / "snapshot_b.npz"}
    assert probe.wait(lambda: set(tmp_path.glob("*.npz")) == copies)
    probe.spin(2.5)  # they are written again and again
    process.process.kill()
    process.process.wait()
    assert set(tmp_path.glob("*.npz")) == copies
    newest = max(copies, key=lambda path: path.stat().st_mtime)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)  # the disk was at fault as well
    probe.wait(lambda: not probe.node.count_publishers("/endosfm3d/status"))
    again = start_node(**settings)
    assert probe.wait(lambda: "it counts once" in again.log, 60.0), again.log
    assert "Gaussians loaded" in again.log
    assert f"{newest.name} is" in again.log  # and why it was left
    probe.connect(*STEREO_TOPICS)
    play(probe, clip[5:])
    assert probe.wait(lambda: probe.messages["status"][-1].level == 0)
