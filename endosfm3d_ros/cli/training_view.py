"""Shows a training in the terminal: bars with the time left, and where the results are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from endosfm3d_ros.training.trainer import StepReport
    from endosfm3d_ros.training.video import VideoTraining


def run_and_show(options: VideoTraining) -> None:
    """Train with bars on stderr, then say what came out of it."""
    from endosfm3d_ros.training.video import ADAPTER_FOLDER, start_training

    with _bars() as bars:
        reading: dict[str, TaskID] = {}

        def on_frame(name: str, done: int, count: int) -> None:
            if name not in reading:
                reading[name] = bars.add_task(escape(f"reading {name}"), total=count)
            bars.update(reading[name], completed=done)

        trainer = start_training(options, on_frame)
        begun = trainer.progress.step
        training = bars.add_task("training", total=trainer.steps, completed=begun)

        def on_step(report: StepReport) -> None:
            losses = f"flow {report.flow_loss:.4f}, depth {report.depth_loss:.4f}"
            bars.update(training, completed=report.step, description=f"training: {losses}")

        progress = trainer.run(on_step)
    console = Console()
    if begun:
        console.print(f"went on after step {begun}", highlight=False)
    console.print(
        f"{progress.step} steps, best validation loss {progress.best:.4f}\n"
        f"use it: export ENDOSFM3D_WEIGHTS={(options.folder / ADAPTER_FOLDER).resolve()}",
        highlight=False,
        markup=False,
    )


def _bars() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
