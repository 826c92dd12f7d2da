"""Our TensorRT code on a strict stand-in, generated from the surface of each version.

A name or an argument that a version lacks raises, so a green test means that the code uses only
what TensorRT 10.16, TensorRT 11 and TensorRT for RTX all have. What these do with it is not shown.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tensorrt_stand_in import StandIn
from tensorrt_surface import flavoured, load_table, surface_of

from endosfm3d_ros.engines.device_session import DeviceSession
from endosfm3d_ros.engines.progress import Cancelled
from endosfm3d_ros.engines.source import BackEndError, BuildSource
from endosfm3d_ros.engines.tensor_rt.builder import build_plan
from endosfm3d_ros.engines.tensor_rt.flavour import TENSORRT, TENSORRT_RTX
from endosfm3d_ros.engines.tensor_rt.program import TensorRtProgram

VERSIONS = ["tensorrt_rtx", "tensorrt 10.16", "tensorrt 11"]
PLENTY = 1 << 40  # bytes


def silent(_text):
    pass


@pytest.fixture(params=VERSIONS)
def flavour(request, monkeypatch):
    monkeypatch.setitem(sys.modules, "stand_in", StandIn(flavoured(request.param)))
    kind = TENSORRT_RTX if "rtx" in request.param else TENSORRT
    return replace(kind, package="stand_in")


@pytest.fixture
def onnx(recipe):
    return BuildSource(recipe).onnx()


@pytest.fixture
def plan(flavour, onnx):
    return build_plan(flavour, onnx, silent)


def test_plan_states_names_shapes_and_types(plan, recipe):
    assert plan.inputs == recipe.inputs
    assert [(s.name, s.shape, s.dtype) for s in plan.outputs] == [
        ("map", (1, 1, 24, 40), "float32"),
        ("vector", (1, 3), "float32"),
    ]


def test_a_run_reads_and_writes_the_bound_memory(flavour, plan, network, image):
    program = TensorRtProgram(flavour, plan.blob, PLENTY)
    assert set(program.inputs) == set(plan.inputs)
    assert set(program.outputs) == set(plan.outputs)
    session = DeviceSession(plan.inputs, plan.outputs, program, "cpu")
    outputs = session.run_arrays(image)
    with torch.no_grad():
        expected = network(torch.from_numpy(image["image"]))
    for value, reference in zip(outputs.values(), expected):
        np.testing.assert_allclose(value, reference.numpy(), rtol=1e-4, atol=1e-6)


def test_timings_are_kept_where_kernels_are_timed(flavour, onnx, tmp_path):
    path = tmp_path / "some.timings"
    for _ in range(2):
        build_plan(flavour, onnx, silent, timings=path)
    seen = sys.modules["stand_in"].timing_caches
    assert seen == ([b"", b"timings"] if flavour.times_tactics else [])
    assert path.exists() == flavour.times_tactics


def test_plan_of_another_version_is_one_sentence(flavour, plan):
    sys.modules["stand_in"].__version__ = "0.1"
    with pytest.raises(BackEndError, match=r"the engine belongs to another version of TensorRT$"):
        TensorRtProgram(flavour, plan.blob, PLENTY)


def test_too_little_memory_is_said_before_it_runs_out(flavour, plan):
    with pytest.raises(BackEndError, match=r"needs .* MiB of GPU memory, 0 MiB are free"):
        TensorRtProgram(flavour, plan.blob, free_memory=1000)


def test_a_file_that_the_parser_refuses_is_one_sentence(flavour):
    with pytest.raises(BackEndError, match="cannot read the network"):
        build_plan(flavour, b"not ONNX", silent)


def test_a_build_without_result_gives_the_reason(flavour, onnx, monkeypatch):
    line = "IBuilder: Error Code 1: Myelin ([impl.cpp:42::build] no kernel for this layer)"
    monkeypatch.setattr(sys.modules["stand_in"], "refuse", line)
    with pytest.raises(BackEndError, match=r"built no engine: .*no kernel for this layer"):
        build_plan(flavour, onnx, silent)


def test_progress_is_heard_and_a_build_can_be_cancelled(flavour, onnx):
    lines = []
    build_plan(flavour, onnx, lines.append)
    assert lines == ["building engine"]

    def stop(_text):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        build_plan(flavour, onnx, stop)


@pytest.mark.parametrize(
    ("version", "absent"),
    [("tensorrt 11", "FP16"), ("tensorrt_rtx", "FP16"), ("tensorrt_rtx", "INT8")],
)
def test_the_stand_in_is_strict(version, absent):
    trt = StandIn(flavoured(version))
    with pytest.raises(AttributeError):
        getattr(trt.BuilderFlag, absent)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda trt: trt.Builder(),
        lambda trt: trt.Builder(trt.ILogger()).platform_has_fast_fp16,
        lambda trt: trt.Builder(trt.ILogger()).create_network(flag=1),
        lambda trt: trt.Builder(trt.ILogger()).create_builder_config().max_workspace_size,
        lambda trt: type("Logger", (trt.ILogger,), {"log": lambda self, level, text: None}),
    ],
)
def test_misuse_of_names_and_arguments_raises(misuse):
    with pytest.raises((AttributeError, TypeError)):
        misuse(StandIn(flavoured("tensorrt 11")))


def test_the_table_is_that_of_the_installed_module():
    tensorrt_rtx = pytest.importorskip(
        "tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install tensorrt-rtx"
    )
    table = load_table()["tensorrt_rtx"]
    if tensorrt_rtx.__version__ != table["version"]:
        pytest.skip(f"the table is of {table['version']}, installed is {tensorrt_rtx.__version__}")
    assert surface_of(tensorrt_rtx) == table["surface"]
