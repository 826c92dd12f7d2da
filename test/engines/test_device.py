"""Where networks run: the GPU where there is one, and never a silent processor."""

from __future__ import annotations

import sys

import pytest

from endosfm3d_ros.engines import EngineSettings, device
from endosfm3d_ros.engines.device import chosen_device, cuda_obstacle, driver_version
from endosfm3d_ros.errors import ConfigurationError


@pytest.fixture
def no_driver(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "DRIVER_NODES", (tmp_path / "nvidiactl",))


@pytest.fixture
def driver_without_use(monkeypatch, tmp_path):
    """The kernel has a driver, torch was built without CUDA or finds no card."""
    node = tmp_path / "nvidiactl"
    node.touch()
    monkeypatch.setattr(device, "DRIVER_NODES", (node,))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def test_without_a_driver_torch_is_not_asked(no_driver, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    assert "no NVIDIA driver" in cuda_obstacle()
    assert EngineSettings().candidates()[0] == "openvino"


def test_auto_takes_the_processor_quietly_where_there_is_no_driver(no_driver, caplog):
    assert chosen_device("auto", allow_cpu=False) == "cpu"
    assert not caplog.records


def test_auto_speaks_up_where_a_driver_cannot_be_used(driver_without_use, caplog):
    assert chosen_device("auto", allow_cpu=False) == "cpu"
    assert "networks run on the processor: torch" in caplog.text


@pytest.mark.parametrize("machine", ["no_driver", "driver_without_use"])
def test_cuda_is_not_replaced_silently(machine, request, caplog):
    request.getfixturevalue(machine)
    with pytest.raises(ConfigurationError, match=r"device 'cuda': .*set allow_cpu or device 'cpu'"):
        chosen_device("cuda", allow_cpu=False)
    assert chosen_device("cuda", allow_cpu=True) == "cpu"
    assert "networks run on the processor" in caplog.text


def test_the_processor_can_always_be_asked_for(monkeypatch):
    monkeypatch.setattr(device, "cuda_obstacle", lambda: "")
    assert chosen_device("cpu", allow_cpu=False) == "cpu"
    assert EngineSettings(device="cuda").candidates()[0] == "tensorrt"


def test_unknown_devices_are_rejected():
    with pytest.raises(ConfigurationError, match="engine device 'gpu': auto, cuda, cpu"):
        EngineSettings(device="gpu")


def test_driver_version_is_read_from_the_kernel(monkeypatch, tmp_path):
    path = tmp_path / "version"
    path.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 2025\n")
    monkeypatch.setattr(device, "DRIVER", path)
    assert driver_version() == "570.86.15"
    monkeypatch.setattr(device, "DRIVER", tmp_path / "none")
    assert driver_version() == "unknown"
