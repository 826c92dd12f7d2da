"""Times things side by side: every round calls all of them once, so a slow moment hits all."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, sleep

import numpy as np

# s before each run: thread pools go on spinning for a moment and would slow the next one down
PAUSE = 0.05

Result = dict[str, dict[str, float | dict[str, float]]]


def interleaved(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds (rounds,) of each run."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            sleep(PAUSE)
            begin = perf_counter()
            run()
            times[name].append((perf_counter() - begin) * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def summary(times: dict[str, np.ndarray], references: dict[str, str]) -> Result:
    """{name: {"p50_ms", "p95_ms", "ratio_to": {reference: median of time / its time}}}.

    Args:
        times: of `interleaved`.
        references: which run each is compared with; a missing name is compared with none.
    """
    result: Result = {}
    for name, values in times.items():
        reference = references.get(name)
        ratios = {reference: float(np.median(values / times[reference]))} if reference else {}
        p50, p95 = np.percentile(values, (50, 95))
        result[name] = {"p50_ms": float(p50), "p95_ms": float(p95), "ratio_to": ratios}
    return result
