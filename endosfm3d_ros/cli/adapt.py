"""`endosfm3d adapt`: the networks, fitted to the video of one procedure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from endosfm3d_ros.cli.sources import SOURCE_HELP


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(adapt)


def adapt(
    source: Annotated[Path, typer.Argument(help=SOURCE_HELP)],
    out: Annotated[Path, typer.Option(help="Run folder; one with a checkpoint is gone on with.")],
    weights: Annotated[
        str, typer.Option(help="Name or folder of the set to start from; empty: first installed.")
    ] = "",
    tools: Annotated[
        str, typer.Option(help="colour, network or none: instruments where no mask is recorded.")
    ] = "colour",
    epochs: Annotated[int, typer.Option(help="Passes over the video.")] = 20,
    batch_size: Annotated[int, typer.Option(help="0: as in training; smaller without a GPU.")] = 0,
    steps: Annotated[int, typer.Option(help="Stop after so many steps; 0: after the epochs.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ..")] = "auto",
) -> None:
    """Fit DoRA adapters, the depth head and the pose network to one procedure's video.

    Ends in OUT/adapter, a peft adapter with its base that the live node loads: set
    ENDOSFM3D_WEIGHTS=OUT/adapter, or the node's parameter `weights`.

    Example: endosfm3d adapt case_12.mcap --out runs/case_12 --weights official
    """
    from endosfm3d_ros.cli.training_view import run_and_show
    from endosfm3d_ros.training.recipes import OURS
    from endosfm3d_ros.training.settings import adjusted, settings_for
    from endosfm3d_ros.training.video import VideoTraining

    options = VideoTraining(
        sources=(source,),
        folder=out,
        recipe=adjusted(OURS, epochs, batch_size),
        weights=weights,
        tools="" if tools == "none" else tools,
        settings=settings_for(device, OURS.name, steps),
    )
    run_and_show(options)
