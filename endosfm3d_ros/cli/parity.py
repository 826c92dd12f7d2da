"""`endosfm3d parity`: compares this package with golden vectors of the published code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from endosfm3d_ros.errors import ConfigurationError

RESULT = {True: "[green]ok[/green]", False: "[red]FAILED[/red]", None: "[yellow]not built[/yellow]"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def parity(
        folder: Annotated[
            Path,
            typer.Argument(
                help="Folder with manifest.json, fill.py, shapes/ and .npz files; "
                "its fill.py is run."
            ),
        ],
        json_file: Annotated[
            Path | None, typer.Option("--json", help="Write the result here as JSON.")
        ] = None,
    ) -> None:
        """Compare networks, losses and metrics with golden vectors of the published code.

        Exits with 1 when a check fails. Checks of parts that are not built are listed as such.

        Example: endosfm3d parity golden/ --json parity.json
        """
        if json_file is not None and not json_file.parent.is_dir():
            raise ConfigurationError(f"--json {json_file}: folder {json_file.parent} is missing")
        results = run_with_progress(folder)
        if json_file is not None:
            from endosfm3d_ros.evaluation.report import write_json

            report = {name: check.as_json() for name, check in results.items()}
            write_json(report, json_file)
        outcomes = [check.ok for check in results.values()]
        console = Console()
        console.print(table_of(results))
        console.print(
            f"{outcomes.count(True)} agree, {outcomes.count(False)} failed, "
            f"{outcomes.count(None)} not built"
        )
        if False in outcomes:
            raise typer.Exit(1)


def run_with_progress(folder: Path) -> dict:
    """Checks by "<npz stem>/<check>"; the line shows the one that was just computed."""
    from endosfm3d_ros.evaluation.parity import run

    results = {}
    with Console(stderr=True).status("reading golden vectors") as status:
        for stem, check in run(folder):
            results[f"{stem}/{check.name}"] = check
            status.update(f"{len(results)} checks, last {stem}/{check.name}")
    return results


def table_of(results: dict) -> Table:
    """One row per check."""
    table = Table()
    table.add_column("check", overflow="fold")
    for title in ("error", "tolerance", "result"):
        table.add_column(title, no_wrap=True)
    for name, check in results.items():
        numbers = ["" if v is None else f"{v:.2e}" for v in (check.error, check.tolerance)]
        table.add_row(name, *numbers, RESULT[check.ok])
    return table
