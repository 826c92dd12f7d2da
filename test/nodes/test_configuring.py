"""Configure transitions that take long: they report, can be stopped, and fail in one sentence."""

from __future__ import annotations

import threading

import pytest

from endosfm3d_ros.engines.device import cuda_obstacle
from endosfm3d_ros.engines.progress import Cancelled
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.node.configuring import build_unless
from endosfm3d_ros.nodes.node.parameter_table import SPECS
from endosfm3d_ros.nodes.node.parameters import pipeline_config

DEFAULTS = {spec.name: spec.default for spec in SPECS}


def test_result_and_reports_pass_through():
    lines = []

    def build(report):
        report("building")
        return 42

    assert build_unless(threading.Event(), build, lines.append) == 42
    assert lines == ["building"]


def test_errors_are_raised_where_the_result_is_waited_for():
    def build(_report):
        raise ConfigurationError("no such weights")

    with pytest.raises(ConfigurationError, match="no such weights"):
        build_unless(threading.Event(), build, print)


def test_cancelling_returns_at_once_and_ends_the_work_at_its_next_step():
    cancelled, compiled, ended = threading.Event(), threading.Event(), threading.Event()

    def build(report):
        report("first engine")
        cancelled.set()
        compiled.wait(30)  # a compiler that cannot be interrupted
        try:
            report("second engine")
        finally:
            ended.set()

    lines = []
    with pytest.raises(Cancelled, match="finished are kept"):
        build_unless(cancelled, build, lines.append)
    assert not ended.is_set()
    compiled.set()
    assert ended.wait(30)
    assert lines == ["first engine"]


@pytest.mark.skipif(not cuda_obstacle(), reason="this machine has a GPU")
def test_cuda_that_is_missing_is_one_sentence():
    with pytest.raises(
        ConfigurationError, match=r"device 'cuda': there is no NVIDIA driver.*allow"
    ):
        pipeline_config(DEFAULTS | {"device": "cuda"})


@pytest.mark.skipif(not cuda_obstacle(), reason="this machine has a GPU")
def test_allow_cpu_takes_the_processor_and_says_so(caplog):
    config = pipeline_config(DEFAULTS | {"device": "cuda", "allow_cpu": True})
    assert config.sfm.network.engines.resolved_device() == "cpu"
    assert "networks run on the processor" in caplog.text


def test_auto_needs_no_gpu():
    assert pipeline_config(DEFAULTS).sfm.network.engines.device == "auto"
