"""`endosfm3d train`: the group of all training commands, and `train video`.

A module that adds a command calls `train_group(app)` in its `register` and decorates its function
with `.command()`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from endosfm3d_ros.datasets.open import accepted

NAME = "train"
DATA = f"Recordings; each is {accepted()}."


def train_group(app: typer.Typer) -> typer.Typer:
    """The group `train` of the application; made by whoever asks first."""
    for known in app.registered_groups:
        if known.name == NAME:
            return known.typer_instance
    group = typer.Typer(help="Train networks; each subcommand says on what.", no_args_is_help=True)
    app.add_typer(group, name=NAME)
    return group


def register(app: typer.Typer) -> None:
    """Add the group and its first command to the application."""
    train_group(app).command("video")(video)


def video(
    data: Annotated[list[Path], typer.Argument(help=DATA)],
    out: Annotated[Path, typer.Option(help="Run folder; one with a checkpoint is gone on with.")],
    recipe: Annotated[str, typer.Option(help="ours, or released: exactly as published.")] = "ours",
    weights: Annotated[
        str, typer.Option(help="Name or folder of the set to start from; empty: first installed.")
    ] = "",
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Recording to hold out whole; by default the last tenth of each."),
    ] = None,
    tools: Annotated[
        str, typer.Option(help="colour, network or none: instruments where no mask is recorded.")
    ] = "colour",
    epochs: Annotated[int, typer.Option(help="0: as the recipe says.")] = 0,
    batch_size: Annotated[int, typer.Option(help="0: as the recipe says.")] = 0,
    steps: Annotated[int, typer.Option(help="Stop after so many steps; 0: after the epochs.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ..")] = "auto",
) -> None:
    """Train depth, motion and intrinsics on video alone (EndoSfM3D, self-supervised).

    The best networks on the held-out frames end in OUT/adapter and OUT/released; both are weight
    sets that the live node loads. The same command again goes on after an interruption.

    Example: endosfm3d train video clips/* --out runs/first --weights depth-anything-v2-small
    """
    from endosfm3d_ros.cli.training_view import run_and_show
    from endosfm3d_ros.training.recipes import recipe_named
    from endosfm3d_ros.training.settings import adjusted, settings_for
    from endosfm3d_ros.training.video import VideoTraining

    options = VideoTraining(
        sources=tuple(data),
        folder=out,
        recipe=adjusted(recipe_named(recipe), epochs, batch_size),
        weights=weights,
        validation=tuple(validation or ()),
        tools="" if tools == "none" else tools,
        settings=settings_for(device, recipe, steps),
    )
    run_and_show(options)
