"""`endosfm3d evaluate --suite`: many clips in one table, and what changed since a stored run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from endosfm3d_ros.evaluation.evaluate import EvaluationConfig
    from endosfm3d_ros.evaluation.runs.playback import OnFrame
    from endosfm3d_ros.evaluation.suite.clips import SuiteClip

SuiteName = Literal["simulated", "real", "all"]


@dataclass(frozen=True)
class SuiteOptions:
    """What the options of the command say.

    Raises:
        ConfigurationError: an unknown suite, seeds that are no numbers, or no folder for real.
    """

    name: str
    folders: tuple[Path, ...]
    seeds: str
    frames: int
    quick: bool
    only: str

    def __post_init__(self) -> None:
        if self.name not in get_args(SuiteName):
            raise ConfigurationError(
                f"--suite {self.name!r}: accepted are {', '.join(get_args(SuiteName))}"
            )
        if not all(seed.strip().isdecimal() for seed in self.seeds.split(",")):
            raise ConfigurationError(f"--seeds {self.seeds!r}: numbers with commas, e.g. 0,1")
        if self.name != "simulated" and len(self.folders) != 1:
            given = f"{len(self.folders)} are given" if self.folders else "it is missing"
            raise ConfigurationError(
                f"--suite {self.name}: one folder of recordings is needed, {given}"
            )

    def clips(self, console: Console) -> list[SuiteClip]:
        """What is played."""
        from endosfm3d_ros.evaluation.suite.clips import chosen, real_clips, simulated_clips

        clips: list[SuiteClip] = []
        if self.name != "real":
            seeds = tuple(int(seed) for seed in self.seeds.split(","))
            tell = lambda name: console.print(f"rendering {name} once", markup=False)  # noqa: E731
            clips += simulated_clips(seeds, self.frames, self.quick, tell)
        if self.name != "simulated":
            clips += real_clips(self.folders[0], self.quick)
        return chosen(clips, self.only)


def run(
    options: SuiteOptions, config: EvaluationConfig, against: Path | None, json_file: Path | None
) -> None:
    """Play, print and write."""
    from endosfm3d_ros.evaluation.report import write_json
    from endosfm3d_ros.evaluation.suite.run import run_suite
    from endosfm3d_ros.evaluation.suite.summary import as_json, rows_table, stored, summary_table

    before = stored(against) if against is not None else {}
    errors = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=errors) as progress:
        bar = progress.add_task("suite", total=None)

        def on_clip(name: str, frames: int) -> OnFrame:
            progress.update(bar, description=escape(name), total=frames, completed=0)
            return lambda count: progress.update(bar, completed=count)

        rows = run_suite(options.clips(errors), config, on_clip)
    if json_file is not None:
        write_json(as_json(rows, options.name), json_file)
    console = Console()
    console.print(rows_table(rows, before))
    console.print(summary_table(rows))
