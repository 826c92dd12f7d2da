"""From a recipe to a checked, warm engine: from disk where possible, built where not."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from endosfm3d_ros.engines.backend import BackEnd, BackEndError, BuildSource, find_backend
from endosfm3d_ros.engines.cache import EngineCache
from endosfm3d_ros.engines.engine import Engine, EngineInfo
from endosfm3d_ros.engines.entry import FORMAT, Entry, EntryCard
from endosfm3d_ros.engines.parity import check_parity, relative_errors
from endosfm3d_ros.engines.progress import still_working
from endosfm3d_ros.engines.recipe import NetworkRecipe
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.errors import ConfigurationError

log = logging.getLogger(__name__)

Report = Callable[[str], None]


def obtain_engine(
    recipe: NetworkRecipe, settings: EngineSettings | None = None, report: Report = log.info
) -> Engine:
    """The engine of the first back end that passes the parity check, warmed up.

    A back end that is missing, fails or computes something else is named in an error line of
    the log and in `engine.info.refused`, and the next one is taken. `report` receives what is
    being done, and every few seconds that it still is.

    Raises:
        ConfigurationError: a back end or precision is unknown, or no back end can run the network.
    """
    settings = settings or EngineSettings()
    backends = [find_backend(name) for name in settings.backends]
    _check_precision(backends, settings.precision)
    source, refused = BuildSource(recipe), []
    for backend in backends:
        try:
            engine = _Attempt(backend, source, settings, report).run()
        except BackEndError as error:
            log.error("%s does not run on %s: %s", recipe.name, backend.name, error)
            refused.append(f"{backend.name}: {error}")
            continue
        engine.info = replace(engine.info, refused=tuple(refused))
        return engine
    raise ConfigurationError(f"no engine for network '{recipe.name}': {'; '.join(refused)}")


def _check_precision(backends: list[BackEnd], precision: str) -> None:
    """Raise for a precision that none of the back ends knows."""
    known = sorted({name for backend in backends for name in backend.precisions})
    if precision not in known:
        names = ", ".join(backend.name for backend in backends)
        raise ConfigurationError(
            f"engine precision '{precision}': {names} accept {', '.join(known)}"
        )


@dataclass(frozen=True)
class _Attempt:
    """One back end's way to an engine."""

    backend: BackEnd
    source: BuildSource
    settings: EngineSettings
    report: Report

    def run(self) -> Engine:
        """The stored engine, or a new one that is stored.

        The lock is held for reading as well: whoever comes second finds what the first built.
        """
        if not self.backend.stored:
            return self._build()
        cache = EngineCache(self.settings.cache_dir)
        path = cache.path(self.source.recipe.name, self.backend.name, self.precision, self.key)
        with cache.locked(path, self.report):
            if entry := cache.load(path, self.key):
                try:
                    return self._restore(entry)
                except BackEndError as error:
                    log.warning("cached engine %s is rebuilt: %s", path, error)
            begin = time.perf_counter()
            engine = self._build()
            cache.store(path, self._entry(engine, time.perf_counter() - begin))
            return engine

    @cached_property
    def precision(self) -> str:
        """What the back end runs on this machine."""
        return self.backend.precision(self.settings.precision)

    @property
    def label(self) -> str:
        """How log lines name this engine."""
        return f"{self.source.recipe.name} ({self.backend.name} {self.precision})"

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that the engine depends on."""
        recipe = self.source.recipe
        parts = {
            "format": FORMAT,
            "network": recipe.name,
            "fingerprint": recipe.fingerprint,
            "inputs": [asdict(spec) for spec in recipe.inputs],
            "outputs": recipe.output_names,
            "backend": self.backend.name,
            "version": self.backend.version(),
            "precision": self.precision,
            "device": self.backend.device(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _build(self) -> Engine:
        """A new engine that agrees with torch."""
        with still_working(self.report, f"building engine {self.label}"):
            engine = self.backend.build(self.source, self.settings, self.precision)
            self._check(engine, self.source.reference, cached=False)
        return engine

    def _restore(self, entry: Entry) -> Engine:
        """The stored engine, provided that it still answers as torch did when it was built."""
        card = entry.card
        engine = self.backend.from_bytes(
            entry.blob, card.inputs, card.outputs, self.settings, self.precision
        )
        self._check(engine, entry.reference, cached=True)
        return engine

    def _check(self, engine: Engine, reference: dict[str, np.ndarray], cached: bool) -> None:
        """Parity on the probe, which is also the run that warms the engine up."""
        errors = relative_errors(engine.run(self.source.probe), reference)
        check_parity(self.label, errors, self.source.recipe.tolerances[self.precision])
        engine.info = EngineInfo(
            network=self.source.recipe.name,
            backend=self.backend.name,
            backend_version=self.backend.version(),
            precision=self.precision,
            errors=errors,
            cached=cached,
        )

    def _entry(self, engine: Engine, seconds: float) -> Entry:
        """What is stored of a new engine."""
        card = EntryCard(
            key=self.key,
            network=self.source.recipe.name,
            backend=self.backend.name,
            backend_version=self.backend.version(),
            precision=self.precision,
            device=self.backend.device(),
            inputs=engine.inputs,
            outputs=engine.outputs,
            errors=engine.info.errors,
            build_seconds=round(seconds, 2),
            description=self.source.recipe.description,
        )
        blob = np.frombuffer(self.backend.to_bytes(engine), np.uint8)
        return Entry(card, blob, self.source.reference)
