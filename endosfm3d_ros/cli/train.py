"""`endosfm3d train`: the group of all training commands.

A module that adds one calls `train_group(app)` in its `register` and decorates its function with
`.command()`.
"""

from __future__ import annotations

import typer

NAME = "train"


def train_group(app: typer.Typer) -> typer.Typer:
    """The group `train` of the application; made by whoever asks first."""
    for known in app.registered_groups:
        if known.name == NAME:
            return known.typer_instance
    group = typer.Typer(help="Train networks; each subcommand says on what.", no_args_is_help=True)
    app.add_typer(group, name=NAME)
    return group


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    train_group(app)
