"""What the commands `train depth`, `train pose` and `train segmentation` have in common."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from endosfm3d_ros.training.supervised.bank import Bank, BankConfig
    from endosfm3d_ros.training.supervised.loop import Schedule, Task

Out = Annotated[
    Path, typer.Argument(help="Folder of the run; one that was cut off is gone on with.")
]
Steps = Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")]
Batch = Annotated[int, typer.Option(min=1, help="Samples a step.")]
Samples = Annotated[int, typer.Option(help="Samples of the bank, rendered while training.")]
Seed = Annotated[int, typer.Option(min=0, help="Of images, weights and order.")]
BankFolder = Annotated[
    Path | None, typer.Option("--bank", help="Folder of the bank; by default in the cache.")
]
Size = Annotated[str, typer.Option(help="Width x height of the images, multiples of 32.")]


def run_on_bank(
    make_task: Callable[[Bank], Task],
    bank: BankConfig,
    schedule: Schedule,
    out: Path,
    bank_folder: Path | None,
) -> None:
    """Train on the processor, with a bank that is rendered meanwhile."""
    import torch

    from endosfm3d_ros.training.supervised.bank import Bank, default_bank_folder

    # Threads that wait for each other cost more than they bring on small images: on a busy
    # machine with two cores one thread trained six times as fast as two.
    torch.set_num_threads(1)
    name = f"{bank.width}x{bank.height}x{bank.frames}-{bank.samples}-{bank.seed}"
    store = Bank(bank_folder or default_bank_folder(name), bank)
    with store.rendering_ahead():
        run(make_task(store), schedule, out, asdict(bank))


def run(
    task: Task, schedule: Schedule, out: Path, rendered: dict[str, int], device: str = "cpu"
) -> None:
    """Train with a bar, then write the weights and their card into the folder of the run."""
    from rich.console import Console

    from endosfm3d_ros.training.supervised.card import ModelCard, export
    from endosfm3d_ros.training.supervised.loop import fit

    with StepBar(task.name, Console(stderr=True)) as bar:
        network = fit(task, schedule, out, bar.update, device)
    command = shlex.join(["endosfm3d", *sys.argv[1:]])
    card = ModelCard.of(network, rendered, schedule, command, bar.seconds)
    for path in export(network, out / f"{task.name}.safetensors", card):
        text = f"{path}: {path.stat().st_size / 2**20:.1f} MiB"
        Console().print(text, highlight=False, markup=False)


class StepBar:
    """A bar of steps with the time left and the smoothed losses."""

    def __init__(self, name: str, console: object) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
        )
        self._task = self._bar.add_task(name, total=None, losses="")
        self.seconds = 0.0

    def __enter__(self) -> StepBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, progress: object) -> None:
        """Takes `training.supervised.loop.Progress`."""
        self.seconds = progress.seconds
        losses = "  ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        self._bar.update(self._task, completed=progress.step, total=progress.steps, losses=losses)


def parsed_size(text: str) -> tuple[int, int]:
    """(height, width) of a text like 160x128."""
    from endosfm3d_ros.errors import ConfigurationError

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or int(width) % 32 or int(height) % 32:
        raise ConfigurationError(f"--size {text}: width x height in multiples of 32, e.g. 160x128")
    return int(height), int(width)
