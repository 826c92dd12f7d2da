"""`endosfm3d check`: what becomes of an input, before anybody relies on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endosfm3d_ros.cli.sources import SOURCE_HELP, InputOption, open_source

if TYPE_CHECKING:
    from endosfm3d_ros.inputs.report import Entry

COLOURS = ("green", "yellow", "red")  # by severity


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    source: Annotated[Path | None, typer.Argument(help=SOURCE_HELP)] = None,
    inputs: InputOption = None,
    live: Annotated[
        bool, typer.Option("--live", help="Listen to the topics of the pipeline instead.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long to listen.", min=1.0)] = 6.0,
    remap: Annotated[
        list[str] | None, typer.Option("--remap", "-r", help="from:=to, as the pipeline gets it.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name:=value, as the pipeline.")
    ] = None,
) -> None:
    """Tell what is converted, assumed, refused or missing, with the cure beside it.

    Exits with 1 where something cannot be used.

    Example: endosfm3d check my_bag
    Example: endosfm3d check --live -r image_raw:=/endoscope/left/image_color
    """
    if live == (source is not None):
        raise typer.BadParameter("give a SOURCE, or --live")
    if live:
        from endosfm3d_ros.nodes.offline.live_check import listen

        facts, entries = listen(seconds, remap or [], parameter or [])
    else:
        from endosfm3d_ros.datasets import check as recording

        sequence = open_source(source, inputs)
        facts, entries = list(recording.facts(sequence)), recording.findings(sequence)
    _print(facts, entries)
    if any(_unusable(entry) for entry in entries):
        raise typer.Exit(1)


def _unusable(entry: Entry) -> bool:
    """Whether something cannot be used: nothing at all comes of it, or the stream goes without."""
    return entry.severity == 2 or (entry.severity == 1 and entry.action == "refused")


def _print(facts: list[tuple[str, str]], entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for name, value in facts:
        console.print(f"[bold]{escape(name)}[/bold]: {escape(value)}", highlight=False)
    if not entries:
        console.print("[green]nothing had to be converted, assumed or refused[/green]")
        return
    table = Table("", "input", "finding", "cure")
    for entry in entries:
        colour = COLOURS[entry.severity]
        table.add_row(
            f"[{colour}]{entry.action.value}[/{colour}]",
            *(escape(text) for text in (entry.topic, entry.sentence, entry.cure)),
        )
    console.print(table)
