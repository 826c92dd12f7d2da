"""How the node starts with networks: slowly and talking the first time, quickly the second."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
import torch

from endosfm3d_ros.networks import DepthNetwork, PoseNetwork
from endosfm3d_ros.networks.checkpoint_keys import (
    DEPTH_KEYS,
    POSE_DECODER_KEYS,
    POSE_ENCODER_KEYS,
)
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A published checkpoint folder with generated weights, and an empty engine cache."""
    folder = tmp_path / "official"
    folder.mkdir()
    depth, pose = (
        fill_with_generated_weights(kind()).state_dict() for kind in (DepthNetwork, PoseNetwork)
    )
    for name, state, table, prefix in (
        ("depth_model.pth", depth, DEPTH_KEYS, ""),
        ("pose_encoder.pth", pose, POSE_ENCODER_KEYS, "encoder."),
        ("pose.pth", pose, POSE_DECODER_KEYS, "decoder."),
    ):
        kept = {table.published(k): v for k, v in state.items() if k.startswith(prefix)}
        torch.save(kept, folder / name)
    monkeypatch.setenv("ENDOSFM3D_CACHE", str(tmp_path / "engines"))
    return str(folder)


def wait_for(process, words, seconds):
    """Seconds until the log holds `words`."""
    begin = time.monotonic()
    while words not in process.log:
        assert process.process.poll() is None, process.log
        assert time.monotonic() - begin < seconds, process.log
        time.sleep(0.02)
    return time.monotonic() - begin


@pytest.mark.parametrize("later", [0.0, 0.5, 1.5], ids="{}s".format)
def test_interrupting_the_first_start_ends_it_and_keeps_nothing_broken(
    start_node, weights, tmp_path, later
):
    """While the network is exported, and while it is compiled."""
    node = start_node(depth_source="endosfm3d", weights=weights, device="cpu")
    wait_for(node, "building engine depth", 120)
    time.sleep(later)
    begin = time.monotonic()
    assert node.stop(timeout=20) == 1
    assert time.monotonic() - begin < 10
    assert "configure was cancelled" in node.log
    assert "Traceback" not in node.log
    assert not [path for path in (tmp_path / "engines").glob("*") if path.name.endswith(".engine")]


@pytest.mark.slow
def test_the_second_start_is_ready_within_five_seconds(start_node, weights):
    """The time holds on a machine with nothing else to do."""
    parameters = {"depth_source": "endosfm3d", "weights": weights, "device": "cpu"}
    first = start_node(**parameters)
    wait_for(first, "configured:", 300)
    assert "building engine depth-256x320 (openvino f32)" in first.log
    assert first.stop(timeout=60) == 0
    second = start_node(**parameters)
    seconds = wait_for(second, "configured:", 60)
    assert "building engine" not in second.log
    assert seconds <= 5.0


@pytest.mark.parametrize("allow", [False, True])
def test_missing_cuda_fails_configure_unless_the_processor_is_allowed(start_node, allow):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    node = start_node(device="cuda", allow_cpu=allow, depth_source="stereo")
    if allow:
        wait_for(node, "configured:", 60)
        assert "networks run on the processor: there is no NVIDIA driver" in node.log
        return
    with suppress(AssertionError):
        wait_for(node, "cannot configure: device 'cuda'", 60)
    assert node.process.wait(20) == 1
    assert "set allow_cpu or device 'cpu'" in node.log
