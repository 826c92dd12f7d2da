"""What `endosfm3d engines check` and `endosfm3d bench engines` find out, and their table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.table import Table

from endosfm3d_ros.bench.engines import Row, bench_engines
from endosfm3d_ros.bench.machine import hardware, versions
from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.engines.cache import EngineCache
from endosfm3d_ros.engines.device import driver_version
from endosfm3d_ros.engines.entry import DamagedEntry, read_entry
from endosfm3d_ros.weights.installed_networks import (
    generated_images,
    generated_recipes,
    installed_recipes,
)


@dataclass(frozen=True)
class EngineCheck:
    """Files on disk, and every network on every back end."""

    damaged: dict[str, str]  # file -> what is wrong
    rows: dict[str, Row]

    @property
    def reasons(self) -> list[str]:
        """Why combinations do not run here, each once."""
        return list(dict.fromkeys(row["reason"] for row in self.rows.values() if not row["ok"]))

    @property
    def well(self) -> bool:
        """No file is damaged and no engine was refused."""
        return not self.damaged and not any("accepted" in reason for reason in self.reasons)

    def as_json(self) -> dict[str, Any]:
        """With date, machine and versions."""
        return {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "hardware": hardware() | {"driver": driver_version()},
            "versions": versions(),
            "damaged": self.damaged,
            "engines": self.rows,
        }


def engine_check(
    weights: str, settings: EngineSettings, rounds: int, report: Callable[[str], None]
) -> EngineCheck:
    """Check what is on disk, then build, compare and time what can run here.

    Raises:
        ConfigurationError: the weights or the device that were asked for are not there.
    """
    settings.resolved_device()
    damaged = damaged_files(settings.cache_dir)
    return EngineCheck(damaged, engine_rows(weights, settings, rounds, report))


def damaged_files(folder: Path) -> dict[str, str]:
    """{file: what is wrong} of the engines on disk."""
    found = {}
    for path, card in EngineCache(folder).entries():
        try:
            read_entry(path, card.key if card else "")
        except DamagedEntry as error:
            found[str(path)] = str(error)
    return found


def engine_rows(
    weights: str,
    settings: EngineSettings,
    rounds: int,
    report: Callable[[str], None],
    generated: bool = False,
) -> dict[str, Row]:
    """Every installed network, or with none generated ones, on every back end.

    With `generated` those are added anyway: they have the sizes of the published networks.
    """
    recipes, _ = installed_recipes(weights)
    if not recipes:
        report("no weights are installed: generated ones are used")
    if generated or not recipes:
        recipes += generated_recipes()
    if settings.calibration is None:
        settings = replace(settings, calibration=generated_images)
    return bench_engines(recipes, settings, rounds, report)


def engine_table(rows: dict[str, Row]) -> Table:
    """One line per combination."""
    columns = "network", "runs on", "p50 ms", "p95 ms", "x torch", "error", "scale", "MiB"
    table = Table(*columns, title="engines")
    for row in rows.values():
        runs_on = f"{row['backend']} {row['precision']}"
        if not row["ok"]:
            table.add_row(row["network"], runs_on, "[yellow]not here[/yellow]")
            continue
        scale = row["scale_error"]
        table.add_row(
            row["network"],
            runs_on,
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            ", ".join(f"{1 / ratio:.2f}" for ratio in row["ratio_to"].values()),
            f"{row['error']:.1e}",
            "" if scale is None else f"{scale:.1e}",
            f"{row['memory_mib']:.0f}",
        )
    return table
