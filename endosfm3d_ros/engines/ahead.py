"""Engines for a GPU that this machine lacks, built here and checked where they are first used."""

from __future__ import annotations

import time
from pathlib import Path

from endosfm3d_ros.engines.attempt import Attempt
from endosfm3d_ros.engines.backend import find_backend
from endosfm3d_ros.engines.cache import EngineCache
from endosfm3d_ros.engines.entry import EntryCard
from endosfm3d_ros.engines.parity import Parity
from endosfm3d_ros.engines.progress import Report, still_working
from endosfm3d_ros.engines.recipe import NetworkRecipe
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.engines.source import BuildSource

BACKEND = "tensorrt_rtx"  # its builder needs no GPU, and its plans run on every RTX card


def build_ahead(
    recipe: NetworkRecipe, settings: EngineSettings, report: Report
) -> tuple[Path, EntryCard, bool]:
    """File and card of the engine in the cache, and whether it was there already.

    The probe and torch's answer are stored with it, so the parity check happens when
    `obtain_engine` takes it from the cache on a machine with a card.

    Raises:
        BackEndError: TensorRT for RTX is missing or builds nothing.
    """
    backend = find_backend(BACKEND)
    attempt = Attempt(
        backend, BuildSource(recipe, report=report), settings, backend.precision(settings.precision)
    )
    cache = EngineCache(settings.cache_dir)
    path = cache.path(recipe.name, BACKEND, attempt.precision, attempt.key)
    with cache.locked(path, report):
        if entry := cache.load(path, attempt.key):
            return path, entry.card, True
        begin = time.perf_counter()
        with still_working(report, f"building engine {attempt.label}"):
            plan = backend.plan(attempt.source, settings, attempt.precision)
        entry = attempt.entry(plan.blob, plan.outputs, Parity({}), begin)
        cache.store(path, entry)
    return path, entry.card, False
