"""What every command that reads a recording has in common: its argument, `--input`, its report."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.open import SourceOptions, accepted, open_sequence
from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from endosfm3d_ros.datasets.sequence import Sequence

ROLES = tuple(field.name for field in fields(SourceOptions))
SOURCE_HELP = f"{accepted()[:1].upper()}{accepted()[1:]}."
INPUT_HELP = (
    f"What the recording does not say itself, as ROLE=NAME; ROLE is one of {', '.join(ROLES)}. "
    "Repeatable, e.g. --input left=/camera1/image_raw --input right=/camera2/image_raw."
)

SourceArgument = Annotated[Path, typer.Argument(help=SOURCE_HELP)]
InputOption = Annotated[list[str] | None, typer.Option("--input", help=INPUT_HELP)]


def parse_inputs(inputs: Many[str] | None, split: str = "") -> SourceOptions:
    """The options that `--input` gives.

    Raises:
        ConfigurationError: no ROLE=NAME, a role that there is not, or one that comes twice.
    """
    given: dict[str, str] = {"split": split} if split else {}
    for text in inputs or ():
        role, equals, name = text.partition("=")
        if not equals or role not in ROLES:
            raise ConfigurationError(
                f"--input {text}: ROLE=NAME is accepted, ROLE one of {', '.join(ROLES)}"
            )
        if role in given:
            raise ConfigurationError(f"--input {text}: {role} is given twice")
        given[role] = name
    return SourceOptions(**given)


def open_source(
    source: Path, inputs: Many[str] | None = None, split: str = "", start: int = 0
) -> Sequence:
    """The recording that a command was given."""
    return open_sequence(source, start, parse_inputs(inputs, split))


def remarks(sequence: Sequence) -> list[tuple[int, str]]:
    """(severity 0..2, sentence) of everything that should be known about an input, worst first."""
    report = getattr(sequence, "report", None)
    entries = report.entries if report is not None else ()
    return [(int(entry.severity), shown(str(entry))) for entry in entries]


def tell(sequence: Sequence, console: Console) -> None:
    """Everything about the input that a person should know, the worst first."""
    for severity, sentence in remarks(sequence):
        console.print(
            sentence, style=("dim", "yellow", "red")[severity], markup=False, highlight=False
        )
