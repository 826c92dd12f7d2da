"""One optimisation step against the same step with the torch oracle, in the same run."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from endosfm3d_ros.evaluation.bench_splatting import bench_splatting


@pytest.mark.slow
def test_step_is_fifteen_times_faster_than_torch(oracle, own_threads):
    """Both on one thread: torch's threads stall each other when the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    own_threads(1)
    try:
        result = bench_splatting(3, partial(oracle.rasterization, tile=16))
    finally:
        torch.set_num_threads(threads)
    step = result["splatting_step_sigma_1.5"]
    assert set(step) == {"p50_ms", "p95_ms", "ratio_to"}
    assert step["ratio_to"]["torch_oracle"] < 1 / 15, result
