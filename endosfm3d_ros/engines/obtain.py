"""From a recipe to a checked, warm engine: from disk where possible, built where not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from endosfm3d_ros.engines.attempt import Attempt
from endosfm3d_ros.engines.backend import BackEnd, find_backend
from endosfm3d_ros.engines.engine import Engine
from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.engines.recipe import NetworkRecipe
from endosfm3d_ros.engines.settings import PRECISIONS, EngineSettings
from endosfm3d_ros.engines.source import BackEndError, BuildSource
from endosfm3d_ros.errors import ConfigurationError

log = logging.getLogger(__name__)


def obtain_engine(
    recipe: NetworkRecipe, settings: EngineSettings | None = None, report: Report = log.info
) -> Engine:
    """The engine of the first back end that passes the parity check, warmed up.

    A back end that is missing, fails or computes something else is named in an error line of
    the log and in `engine.info.refused`; it is tried once more in f32, then the next one is
    taken. `report` receives what is being done, and every few seconds that it still is.

    Raises:
        ConfigurationError: a device, back end or precision is unknown or missing, int8 was asked
            for without images to calibrate on, or no back end can run the network.
        Cancelled: `report` raised it; engines that are finished are kept.
    """
    settings = settings or EngineSettings()
    backends = [find_backend(name) for name in settings.candidates()]
    _check_precision(backends, settings.precision)
    if recipe.background:
        settings = _beside_the_frames(settings, backends)
    source, refused = BuildSource(recipe, settings.calibration, report), []
    for backend, precision in _candidates(backends, recipe, settings.precision, refused):
        try:
            engine = Attempt(backend, source, settings, precision).run()
        except BackEndError as error:
            log.error("%s does not run on %s: %s", recipe.name, backend.name, error)
            refused.append(f"{backend.name}: {error}")
            continue
        engine.info = replace(engine.info, refused=tuple(refused))
        return engine
    raise ConfigurationError(f"no engine for network '{recipe.name}': {'; '.join(refused)}")


def _beside_the_frames(settings: EngineSettings, backends: list[BackEnd]) -> EngineSettings:
    """For a network of the background."""
    known = any("bf16" in backend.precisions for backend in backends)
    quick = "bf16" if known and settings.precision == "f32" else settings.precision
    return replace(settings, threads=1, precision=quick)


def _candidates(
    backends: list[BackEnd], recipe: NetworkRecipe, wanted: str, refused: list[str]
) -> Iterator[tuple[BackEnd, str]]:
    """Back ends with the precision to try them in; those that cannot run here go to `refused`."""
    if wanted == "int8" and recipe.prepare is None:
        log.info("network '%s' has no int8: it runs in bf16", recipe.name)
        wanted = "bf16"
    for backend in backends:
        try:
            backend.require()
        except BackEndError as error:
            log.error("%s does not run on %s: %s", recipe.name, backend.name, error)
            refused.append(f"{backend.name}: {error}")
            continue
        precision = backend.precision(wanted)
        yield backend, precision
        if precision != "f32":
            yield backend, "f32"


def _check_precision(backends: list[BackEnd], precision: str) -> None:
    """Raise for a precision that none of the back ends knows."""
    known = [name for name in PRECISIONS if any(name in b.precisions for b in backends)]
    if precision not in known:
        names = ", ".join(backend.name for backend in backends)
        raise ConfigurationError(
            f"engine precision '{precision}': {names} accept {', '.join(known)}"
        )
