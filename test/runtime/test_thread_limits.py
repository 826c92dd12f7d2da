"""Limits on threads of libraries: they end when they should, and for whom they should."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.runtime.thread_limits import one_blas_thread, one_torch_thread
from endosfm3d_ros.sfm.solvers import bundle
from endosfm3d_ros.tissue.config import TissueConfig


def blas_threads() -> set[int]:
    """Of every library that has threads at all."""
    return {
        one["num_threads"]
        for one in threadpool_info()
        if one["user_api"] == "blas" and one["threading_layer"] != "disabled"
    }


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, "blas"):
        yield
    torch.set_num_threads(before)


def test_of_two_that_overlap_the_first_to_leave_does_not_lift_the_limit_of_the_other():
    inside, leave = threading.Event(), threading.Event()

    def long():
        with one_blas_thread():
            inside.set()
            assert leave.wait(30)
            return blas_threads()

    with ThreadPoolExecutor(1) as pool:
        with one_blas_thread():
            running = pool.submit(long)
            assert inside.wait(30)
        assert blas_threads() == {1}  # the other still computes
        leave.set()
        assert running.result(30) == {1}
    assert blas_threads() == {2}


def test_two_adjustments_at_once_leave_the_threads_as_they_were(monkeypatch):
    both = threading.Barrier(2)
    seen = []

    def solved(*_):
        both.wait(30)  # both are inside ...
        seen.append(blas_threads())

    monkeypatch.setattr(bundle, "_adjust", solved)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(bundle.adjust, None, None, fixed=np.ones(1)) for _ in range(2)]
        for job in jobs:
            job.result(30)
    assert seen == [{1}, {1}]
    assert blas_threads() == {2}


def test_an_exception_ends_the_limit():
    with pytest.raises(ValueError), one_blas_thread():
        raise ValueError
    with pytest.raises(ValueError), one_torch_thread():
        raise ValueError
    assert blas_threads() == {2} and torch.get_num_threads() == 2


def test_torch_is_limited_on_the_calling_thread_alone():
    with ThreadPoolExecutor(1) as pool:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
            assert pool.submit(torch.get_num_threads).result(30) == 2
        assert torch.get_num_threads() == 2


def test_a_pipeline_takes_no_threads_from_others_and_its_map_uses_one(monkeypatch):
    pipeline = Pipeline(PipelineConfig(tissue=TissueConfig(width=40, capacity=100)))
    assert torch.get_num_threads() == 2
    from endosfm3d_ros.geometry.camera import PinholeCamera
    from endosfm3d_ros.tissue.appearance import rendering

    seen, rasterization = [], rendering.rasterization

    def watched(*arguments, **options):
        seen.append(torch.get_num_threads())
        return rasterization(*arguments, **options)

    monkeypatch.setattr(rendering, "rasterization", watched)
    camera = PinholeCamera.default(40, 32)
    pipeline.tissue.render(camera, np.eye(4))
    rendering.back_project(
        pipeline.tissue.store, camera, np.eye(4), np.zeros((32, 40, 3), np.float32),
        np.ones((32, 40), np.float32),
    )  # fmt: skip
    assert seen == [1, 1]
    assert torch.get_num_threads() == 2
