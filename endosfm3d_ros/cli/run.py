"""`endosfm3d run`: the pipeline over a recording, without a ROS graph."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from endosfm3d_ros.cli.sources import InputOption, SourceArgument, open_source, remarks, tell
from endosfm3d_ros.datasets.formats.names import shown

if TYPE_CHECKING:
    from rich.console import Console

    from endosfm3d_ros.datasets.sequence import Sequence
    from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
    from endosfm3d_ros.run_folder.results import RunOptions
    from endosfm3d_ros.tools.stage import ToolsConfig

FIRST_STAMP = 1_000_000_000  # ns, for sources without clock: ROS reads a stamp of 0 as "none"
LATEST = "latest"
NOT_REPEATED = ("source", "out", "force", "config")  # parameters that are not settings of a run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def from_file(context: typer.Context, path: Path | None) -> Path | None:
    """Take what a config.yaml says for every option that is not given."""
    if path is not None:
        from endosfm3d_ros.run_folder.settings import read_settings

        context.default_map = read_settings(path)
    return path


def run(
    context: typer.Context,
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    live: Annotated[
        bool, typer.Option("--live", help="At the recorded rate, latest frame wins.")
    ] = False,
    frames: Annotated[str, typer.Option(help="Only these, as a:b without b.")] = "",
    every: Annotated[int, typer.Option(min=1, help="Only every so many frames.")] = 1,
    depth_source: Annotated[
        str, typer.Option(help="auto, topic, stereo, endosfm3d or shading.")
    ] = "auto",
    intrinsics: Annotated[str, typer.Option(help="auto, estimate, prior or fixed.")] = "auto",
    tissue_map: Annotated[
        bool, typer.Option("--map/--no-map", help="Keep a map of the tissue, instruments removed.")
    ] = True,
    tools: Annotated[
        str, typer.Option(help="off, auto, topic, colour or network: where masks come from.")
    ] = "auto",
    tool_models: Annotated[
        str, typer.Option(help="articulated, capsule, mesh or lrm.")
    ] = "capsule",
    tool_model_path: Annotated[
        str, typer.Option(help="Mesh file in metres, or folder of reconstruction weights.")
    ] = "",
    align: Annotated[str, typer.Option(help="joint, paper or none.")] = "joint",
    bag: Annotated[
        bool, typer.Option("--bag/--no-bag", help="Write every output topic as a ROS 2 bag.")
    ] = True,
    depth: Annotated[
        str, typer.Option(help="Files of the depth of every frame: none, png (16 bit) or npz.")
    ] = "none",
    splat_scale: Annotated[
        float,
        typer.Option(min=1e-3, help="Factor on map.ply and map.splat; 20 suits web viewers."),
    ] = 1.0,
    inputs: InputOption = None,
    config: Annotated[
        Path | None,
        typer.Option(is_eager=True, callback=from_file, help="config.yaml of a run to make again."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older result.")] = False,
) -> None:
    """Write a page to look at, clouds, meshes, the map, films, poses, figures and a bag.

    Every frame is processed unless --live is given, and the map gets as many refinement steps as
    it needs. The folder appears when all is done; Ctrl-C keeps what is done until then. The
    summary goes to standard output as JSON, everything else to standard error.

    Example: endosfm3d run my_bag --out result
    """
    import json

    from rich.console import Console

    from endosfm3d_ros.cli.main import NOTICE
    from endosfm3d_ros.cli.stopping import INTERRUPTED, StopRequest
    from endosfm3d_ros.datasets.selection import Selection, chosen_positions
    from endosfm3d_ros.files.atomic import atomic_folder, require_target
    from endosfm3d_ros.pipeline.pipeline import Pipeline
    from endosfm3d_ros.run_folder.depth_files import require_kind
    from endosfm3d_ros.run_folder.results import SUMMARY, RunOptions
    from endosfm3d_ros.tools.stage import ToolsConfig

    # 1 everything that can be refused is refused before anything heavy is done
    console = Console(stderr=True)
    console.print(NOTICE, style="yellow")
    require_target(out, SUMMARY, force)
    require_kind(depth)
    require_weights()
    whole = open_source(source, inputs, start=FIRST_STAMP)
    tell(whole, console)
    positions = chosen_positions(len(whole), frames, every)
    stage = ToolsConfig(tools, tool_models, tool_model_path, align, in_background=live)
    settings = configuration(
        depth_source, intrinsics, tissue_map, None if tools == "off" else stage, live
    )
    pipeline = Pipeline(settings, report=lambda text: console.print(text, style="dim"))
    options = RunOptions(
        name=whole.name, source=shown(source.absolute()), fps=whole.fps / every,
        settings=repeatable(context.params), depth=depth, splat_scale=splat_scale, live=live,
    )  # fmt: skip
    # 2 play; Ctrl-C ends the recording early
    with StopRequest() as stop, atomic_folder(out, SUMMARY, force) as folder:
        folder.mkdir()
        sequence = Selection(whole, positions, lambda: stop.asked)
        summary = record(Recording(sequence, pipeline, options, bag), folder, console)
        if stop.asked and not summary["frames_processed"]:
            raise typer.Exit(INTERRUPTED)
    pipeline.close()
    # 3 say what there is
    for note in pipeline.sfm.notes():
        console.print(note, style="yellow", highlight=False, markup=False)
    print(json.dumps(summary, indent=1))
    point_to(out)
    console.print(conclusion(out, summary), highlight=False, markup=False, soft_wrap=True)
    if stop.asked:
        raise typer.Exit(INTERRUPTED)


def require_weights() -> None:
    """A folder of weights that was named and is not there is no reason to go on with others.

    Raises:
        ConfigurationError: as `find_weights`.
    """
    import os

    from endosfm3d_ros.sfm.endosfm3d.weights import VARIABLE, find_weights

    if os.environ.get(VARIABLE):
        find_weights()


def repeatable(parameters: dict[str, Any]) -> dict[str, Any]:
    """Options of a run as plain values."""
    return {
        name: list(value) if isinstance(value, (list, tuple)) else value
        for name, value in parameters.items()
        if name not in NOT_REPEATED
    }


def configuration(
    depth_source: str, intrinsics: str, tissue_map: bool, tools: ToolsConfig | None, live: bool
) -> PipelineConfig:
    """The settings that the options stand for; each checks its own values."""
    from endosfm3d_ros.pipeline.pipeline import PipelineConfig
    from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
    from endosfm3d_ros.sfm.estimator import EstimatorConfig
    from endosfm3d_ros.tissue.config import TissueConfig

    return PipelineConfig.complete(
        live,
        sfm=EstimatorConfig(
            depth_source=depth_source,
            intrinsics=IntrinsicsConfig(mode=intrinsics),
            background=live,
        ),
        tools=tools,
        tissue=TissueConfig() if tissue_map else None,
    )


@dataclass(frozen=True)
class Recording:
    """What is played, through what, and what is asked for."""

    sequence: Sequence
    pipeline: Pipeline
    options: RunOptions
    bag: bool


def record(recording: Recording, folder: Path, console: Console) -> dict[str, Any]:
    """Play into files of `folder`; returns the summary."""
    from rich.markup import escape
    from rich.progress import Progress

    from endosfm3d_ros.evaluation.runs.playback import play_live, play_offline
    from endosfm3d_ros.run_folder.results import Results

    sequence, pipeline, options = recording.sequence, recording.pipeline, recording.options
    play = play_live if options.live else play_offline
    results, labelled = Results(folder, options, pipeline), False
    with bag_writer(recording, folder) as write, Progress(console=console) as progress:
        bar = progress.add_task(escape(sequence.name), total=len(sequence))

        def updated(i: int, update: Any) -> None:
            nonlocal labelled
            labels = update.frame.tool_labels
            labelled |= labels is not None and bool(labels.any())
            if write is not None:
                write(update)
            results.add(i, sequence.number(i), update)

        played = play(
            sequence, pipeline, updated, lambda count: progress.update(bar, completed=count)
        )
    how = {
        "mode": "live" if options.live else "offline",
        "frames": len(sequence),
        "frames_processed": played.processed,
        "frames_dropped": played.dropped,
        "complete": played.processed + played.dropped == len(sequence),
        "rate_hz": played.processed / max(played.seconds, 1e-9),
        "backend": pipeline.backend(),
        "k_seen_by": pipeline.sfm.k_seen_by(),
    }
    said = [*remarks(sequence), *((1, note) for note in pipeline.sfm.notes())]
    tools = pipeline.config.tools
    if tools is not None and tools.masks == "topic" and not labelled:
        said.append((1, "--tools topic: no frame came with masks that show an instrument"))
        console.print(said[-1][1], style="yellow")
    return results.finish(how, said)


def bag_writer(recording: Recording, folder: Path) -> Any:
    """A context whose value takes every update; None where no bag is wanted."""
    from contextlib import contextmanager

    if not recording.bag:
        return nullcontext()
    from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
    from endosfm3d_ros.nodes.offline.recorder import Recorder

    @contextmanager
    def opened() -> Any:
        with BagWriter(folder / "bag", packed=True) as bag:
            yield Recorder(bag, recording.pipeline, recording.options.live).add

    return opened()


def point_to(out: Path) -> None:
    """`latest` beside the result; one that is no link is left alone."""
    link = out.parent / LATEST
    if out.name == LATEST or (link.exists() and not link.is_symlink()):
        return
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(out.name)
    except OSError:  # a file system without links
        return


def conclusion(out: Path, summary: dict[str, Any]) -> str:
    """The last line: grade and where to look."""
    grade = summary["grade"]
    why = f" ({'; '.join(grade['reasons'])})" if grade["reasons"] else ""
    part = "" if summary["complete"] else f", {summary['frames_processed']} frames only"
    return f"{grade['word']}{why}{part}\nopen {out / 'report.html'}"
