"""One back end's way to an engine: from disk, or built, checked and stored."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from endosfm3d_ros.engines.backend import BackEnd
from endosfm3d_ros.engines.cache import EngineCache
from endosfm3d_ros.engines.engine import Engine, EngineInfo
from endosfm3d_ros.engines.entry import FORMAT, Entry, EntryCard
from endosfm3d_ros.engines.parity import Parity, Tensors, parity
from endosfm3d_ros.engines.progress import still_working
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.engines.source import BackEndError, BuildSource

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """One network on one back end in one precision."""

    backend: BackEnd
    source: BuildSource
    settings: EngineSettings
    precision: str

    def run(self) -> Engine:
        """The stored engine, or a new one that is stored.

        Engines appear complete, so they are read without the lock: nodes that start together
        do not wait for each other. Whoever waited for the lock finds what the first built.

        Raises:
            BackEndError: the back end builds nothing, or an engine that is refused.
        """
        if not self.backend.stored:
            return self._build()
        cache = EngineCache(self.settings.cache_dir)
        path = cache.path(self.source.recipe.name, self.backend.name, self.precision, self.key)
        seen = cache.version(path)
        if seen is not None and (engine := self._stored(cache, path)):
            return engine
        with cache.locked(path, self.source.report):
            if cache.version(path) != seen and (engine := self._stored(cache, path)):
                return engine
            begin = time.perf_counter()
            engine = self._build()
            blob = self.backend.to_bytes(engine)
            checked = Parity(engine.info.errors, engine.info.scale_error)
            cache.store(path, self.entry(blob, engine.outputs, checked, begin))
            return engine

    def _stored(self, cache: EngineCache, path: Path) -> Engine | None:
        """The engine of the file, or None where it cannot be used."""
        entry = cache.load(path, self.key)
        try:
            return self._restore(entry) if entry else None
        except BackEndError as error:
            log.warning("cached engine %s is rebuilt: %s", path, error)
            return None

    @property
    def label(self) -> str:
        """How log lines name this engine."""
        return f"{self.source.recipe.name} ({self.backend.name} {self.precision})"

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that the engine depends on.

        Not of the images that int8 was calibrated on: a start without them finds the engine.
        """
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
            "policy": [recipe.full_precision, recipe.float_nodes],
            "device": self.backend.device(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def probe(self) -> Tensors:
        """Inputs of the parity check; int8 is asked about an image like those it will see."""
        return self.source.calibration[-1] if self.precision == "int8" else self.source.probe

    @cached_property
    def reference(self) -> Tensors:
        """What the network itself answers to the probe."""
        if self.precision == "int8":
            return self.source.answers([self.probe])[0]
        return self.source.reference

    def entry(self, blob: bytes, outputs: tuple, checked: Parity, begin: float) -> Entry:
        """What is stored of a new engine; `begin` of its build on the clock perf_counter."""
        card = EntryCard(
            key=self.key,
            network=self.source.recipe.name,
            backend=self.backend.name,
            backend_version=self.backend.version(),
            precision=self.precision,
            device=self.backend.device(),
            inputs=self.source.recipe.inputs,
            outputs=outputs,
            errors=checked.errors,
            scale_error=checked.scale_error,
            build_seconds=round(time.perf_counter() - begin, 2),
            description=self.source.recipe.description,
        )
        return Entry(card, np.frombuffer(blob, np.uint8), self.probe, self.reference)

    def _build(self) -> Engine:
        """A new engine that agrees with torch."""
        with still_working(self.source.report, f"building engine {self.label}"):
            engine = self.backend.build(self.source, self.settings, self.precision)
            self._check(engine, self.probe, self.reference, cached=False)
        return engine

    def _restore(self, entry: Entry) -> Engine:
        """The stored engine, provided that it still answers as torch did when it was built."""
        card = entry.card
        engine = self.backend.from_bytes(
            entry.blob, card.inputs, card.outputs, self.settings, self.precision
        )
        self._check(engine, entry.probe, entry.reference, cached=True)
        return engine

    def _check(self, engine: Engine, probe: Tensors, reference: Tensors, cached: bool) -> None:
        """Parity on the probe, which is also the run that warms the engine up."""
        recipe = self.source.recipe
        found = parity(recipe, engine.run(probe), reference)
        found.check(self.label, recipe, self.precision)
        engine.info = EngineInfo(
            network=recipe.name,
            backend=self.backend.name,
            backend_version=self.backend.version(),
            precision=self.precision,
            errors=found.errors,
            scale_error=found.scale_error,
            cached=cached,
        )
