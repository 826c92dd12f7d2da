"""`endosfm3d evaluate --inject`: references in place of estimates, in every combination."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from endosfm3d_ros.cli.evaluate import run_with_progress
from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from endosfm3d_ros.evaluation.evaluate import EvaluationConfig
    from endosfm3d_ros.evaluation.report import Report


def run(
    clips: list[Path],
    config: EvaluationConfig,
    names: str,
    inputs: list[str] | None,
    form: str,
    json_file: Path | None,
) -> None:
    """Every combination over every clip; the table goes to standard output.

    Args:
        clips: with a reference in every frame for whatever is injected.
        config: of the run without any reference.
        names: of the parts to inject, comma separated.
        inputs: what a recording does not say itself.
        form: of the table: md, latex or csv.
        json_file: takes every report, with what was injected.

    Raises:
        ConfigurationError: an unknown name, or a part that cannot be scored so.
    """
    from endosfm3d_ros.evaluation.report import write_json
    from endosfm3d_ros.evaluation.runs.injection import Injection
    from endosfm3d_ros.evaluation.tables import injection_table, written

    injection = Injection.of(name.strip() for name in names.split(",") if name.strip())
    settings = [replace(config, injection=chosen) for chosen in injection.combinations()]
    if not clips:
        raise ConfigurationError("--inject: a recording is needed")
    rows: dict[str, list[Report]] = {}
    for each in settings:
        Console(stderr=True).print(f"reference of {each.injection}", markup=False)
        rows[str(each.injection)] = [run_with_progress(clip, each, inputs) for clip in clips]
    if json_file is not None:
        write_json(
            [{"injected": name} | report.as_json() for name in rows for report in rows[name]],
            json_file,
        )
    print(written([injection_table(rows)], form), end="")
