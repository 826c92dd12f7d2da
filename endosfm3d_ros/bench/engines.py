"""Every network on every back end in every precision: does it run, how exactly, how fast.

Engines come from the cache or are built into it. A combination that cannot run here is listed
with the reason. Times are interleaved per network, so a slow moment hits all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from endosfm3d_ros.bench.rounds import interleaved
from endosfm3d_ros.engines import Engine, EngineSettings, NetworkRecipe
from endosfm3d_ros.engines.attempt import Attempt
from endosfm3d_ros.engines.backend import BackEnd, find_backend
from endosfm3d_ros.engines.settings import PREFERRED
from endosfm3d_ros.engines.source import BackEndError, BuildSource

REFERENCE = "torch", "f32"
Row = dict[str, Any]


@dataclass(frozen=True)
class Surveyed:
    """One combination."""

    network: str
    backend: str
    precision: str  # empty where the back end as a whole does not run here
    engine: Engine | None  # None: it does not run here
    reason: str = ""  # why not
    memory_mib: float = 0.0  # growth of the process, or of what it holds on the GPU

    @property
    def name(self) -> str:
        """Key in tables."""
        return "_".join(filter(None, (self.network, self.backend, self.precision)))


def bench_engines(
    recipes: list[NetworkRecipe],
    settings: EngineSettings,
    rounds: int,
    report: Callable[[str], None],
) -> dict[str, Row]:
    """{name: row}; see `row_of`. Ratios are medians over the rounds."""
    rows: dict[str, Row] = {}
    for recipe in recipes:
        surveyed = list(survey(recipe, settings, report))
        report(f"timing {recipe.name}")
        rows |= timed(surveyed, rounds)
    return rows


def survey(
    recipe: NetworkRecipe, settings: EngineSettings, report: Callable[[str], None]
) -> Iterator[Surveyed]:
    """Every combination of one network, torch first: it is what the others are compared with."""
    source = BuildSource(recipe, settings.calibration, report)
    others = [name for names in PREFERRED.values() for name in names if name != REFERENCE[0]]
    for name in (REFERENCE[0], *others):
        backend = find_backend(name)
        try:
            backend.require()
        except BackEndError as error:
            yield Surveyed(recipe.name, name, "", None, str(error))
            continue
        for precision in backend.precisions:
            if precision != "int8" or recipe.prepare is not None:
                yield _surveyed(backend, source, settings, precision)


def _surveyed(
    backend: BackEnd, source: BuildSource, settings: EngineSettings, precision: str
) -> Surveyed:
    names = source.recipe.name, backend.name, precision
    if backend.precision(precision) != precision:
        return Surveyed(*names, None, f"this machine has no {precision}")
    attempt = Attempt(backend, source, settings, precision)
    try:
        if backend.stored:
            attempt.run()  # built, if it must be; what is measured is loaded from disk
        before = _memory()
        engine = attempt.run()
        return Surveyed(*names, engine, memory_mib=max(0.0, _memory() - before))
    except BackEndError as error:
        return Surveyed(*names, None, str(error))


def _memory() -> float:
    """MiB of this process, and of the GPU as far as others do not change it."""
    resident = psutil.Process().memory_info().rss / 2**20
    import torch

    if not torch.cuda.is_available():
        return resident
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**20


def timed(surveyed: list[Surveyed], rounds: int) -> dict[str, Row]:
    """Rows of one network's combinations, timed side by side on a fixed input."""
    runs = {one.name: _run(one.engine) for one in surveyed if one.engine is not None}
    times = interleaved(runs, rounds)
    reference = times.get("_".join((surveyed[0].network, *REFERENCE)))
    return {one.name: row_of(one, times.get(one.name), reference) for one in surveyed}


def _run(engine: Engine) -> Callable[[], object]:
    inputs = {spec.name: np.full(spec.shape, 0.5, spec.dtype) for spec in engine.inputs}
    engine.run(inputs)
    return lambda: engine.run(inputs)


def row_of(one: Surveyed, times: np.ndarray | None, reference: np.ndarray | None) -> Row:
    """What is known of one combination, with ("ok": true) times and parity."""
    row: Row = {"network": one.network, "backend": one.backend, "precision": one.precision}
    if one.engine is None or times is None:
        return row | {"ok": False, "reason": one.reason}
    info = one.engine.info
    p50, p95 = (float(value) for value in np.percentile(times, (50, 95)))
    ratios = {}
    if reference is not None and (one.backend, one.precision) != REFERENCE:
        ratios = {"_".join(REFERENCE): float(np.median(times / reference))}
    return row | {
        "ok": True,
        "p50_ms": p50,
        "p95_ms": p95,
        "ratio_to": ratios,
        "throughput_hz": 1e3 / p50,
        "memory_mib": round(one.memory_mib, 1),
        "error": max(info.errors.values()),
        "scale_error": info.scale_error,
        "version": info.backend_version,
    }
