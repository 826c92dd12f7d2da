"""`endosfm3d evaluate`: runs the pipeline over a clip and scores it against its references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endosfm3d_ros.cli.sources import SOURCE_HELP, InputOption, open_source, tell
from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from endosfm3d_ros.evaluation.evaluate import EvaluationConfig
    from endosfm3d_ros.evaluation.metrics.protocols import DepthProtocol
    from endosfm3d_ros.evaluation.report import Report
    from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(evaluate)


def evaluate(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(help=f"{SOURCE_HELP} With --suite: one folder of such."),
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            help="Of depth, pose, honesty, pairs, intrinsics, masks, tissue, tools, cloud."
        ),
    ] = "depth,pose,intrinsics",
    depth_source: Annotated[
        str, typer.Option(help="auto, topic, stereo, endosfm3d or shading.")
    ] = "auto",
    intrinsics: Annotated[
        str,
        typer.Option(
            help="estimate: never reads the calibration; prior: starts there; fixed: takes it."
        ),
    ] = "estimate",
    mode: Annotated[
        str,
        typer.Option(
            help="offline: every frame, as fast as it goes; live: at the clip's rate, the "
            "latest frame wins and drops are counted."
        ),
    ] = "offline",
    masks: Annotated[
        str,
        typer.Option(
            help="auto, topic, colour or network: masks that the pipeline makes; reference: "
            "the clip's own are given to it."
        ),
    ] = "auto",
    tool_models: Annotated[
        str, typer.Option(help="articulated, capsule, mesh or lrm.")
    ] = "capsule",
    tool_model_path: Annotated[
        str,
        typer.Option(
            help="Mesh file in metres or folder of such (default: the clip's tools/), or "
            "folder of reconstruction weights."
        ),
    ] = "",
    align: Annotated[
        str,
        typer.Option(
            help="default: contours, six degrees of freedom; paper: the published search; "
            "none: as reconstructed."
        ),
    ] = "default",
    protocol: Annotated[
        str,
        typer.Option(
            help="scared, c3vd, hamlyn or stereomis: score depth in the range and part of the "
            "image that the data set's evaluations use; adds the released measures."
        ),
    ] = "",
    lpips_weights: Annotated[
        Path | None, typer.Option(help="State of LPIPS with AlexNet; adds *lpips of tools.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder to make, for plots and pictures of the parts.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Score the depth/ and poses.txt of another method in this folder; of several "
            "clips in its subfolder of the clip's name."
        ),
    ] = None,
    inject: Annotated[
        str,
        typer.Option(
            help="Of depth, pose, mask, K: the clip's reference in place of the estimate, in every "
            "combination, as one table: where does the error come from?"
        ),
    ] = "",
    table: Annotated[
        str, typer.Option(help="Also print tables of all clips: md, latex or csv.")
    ] = "",
    peers: Annotated[
        bool, typer.Option("--peers", help="Published numbers below the tables, with sources.")
    ] = False,
    inputs: InputOption = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the result here as JSON; of several clips a list."),
    ] = None,
    suite: Annotated[
        str,
        typer.Option(
            help="simulated, real or all: many clips with both eyes and with one, in one "
            "table. Simulated ones are rendered once; real ones lie in the folder CLIP, "
            "whose suite.json may say which."
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="Of simulated clips of a suite.")] = "0,1",
    suite_frames: Annotated[int, typer.Option(help="Of simulated clips of a suite.")] = 120,
    quick: Annotated[bool, typer.Option("--quick", help="A small part of the suite.")] = False,
    only: Annotated[str, typer.Option(help="Clips of a suite whose name has this.")] = "",
    against: Annotated[
        Path | None, typer.Option(help="The --json of an earlier suite: shows what changed.")
    ] = None,
) -> None:
    """Run the pipeline over clips and score what it makes against their references.

    What the clip has no reference for is left out, as are metres and millimetres where the
    scale of the run is relative. With --table, standard output is the tables and nothing else.

    Example: endosfm3d evaluate clips/scared --what depth,pose --mode live --json result.json
    or: endosfm3d evaluate --suite simulated --json now.json --against before.json
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise ConfigurationError(f"--json {json_file}: folder {json_file.parent} is missing")
    if suite:
        from endosfm3d_ros.cli.suite import SuiteOptions, run

        options = SuiteOptions(suite, tuple(clips or ()), seeds, suite_frames, quick, only)
        tools = tools_protocol(tool_models, "", align, None)
        config = configuration(["pose"], depth_source, intrinsics, mode, masks, tools)
        run(options, config, against, json_file)
        return
    if not clips:
        raise ConfigurationError(f"a recording is needed: {SOURCE_HELP}")
    if table:
        from endosfm3d_ros.evaluation.tables import written

        written([], table)  # another form is refused before anything runs
    names = [name.strip() for name in what.split(",")]
    if inject:
        from endosfm3d_ros.cli import injection

        tools = tools_protocol(tool_models, tool_model_path, align, lpips_weights)
        config = configuration(names, depth_source, intrinsics, mode, masks, tools, True)
        injection.run(clips, config, inject, inputs, table or "md", json_file)
        return
    reports = []
    for clip in clips:
        own = str(clip / "tools") if (clip / "tools").is_dir() else ""
        model_path = tool_model_path or (own if tool_models == "mesh" else "")
        tools = tools_protocol(tool_models, model_path, align, lpips_weights)
        config = replace(
            configuration(names, depth_source, intrinsics, mode, masks, tools),
            protocol=depth_protocol(protocol),
            pictures=_folder_of(clip, clips, pictures),
            predictions=_folder_of(clip, clips, predictions),
        )
        if config.pictures is not None:
            config.pictures.mkdir(parents=True, exist_ok=True)
        reports.append(run_with_progress(clip, config, inputs))
        show(reports[-1], Console(stderr=bool(table)))
    if json_file is not None:
        from endosfm3d_ros.evaluation.report import write_json

        each = [report.as_json() for report in reports]
        write_json(each[0] if len(each) == 1 else each, json_file)
    if table:
        from endosfm3d_ros.evaluation.tables import tables_of

        print(written(tables_of(reports, peers), table), end="")


def _folder_of(clip: Path, clips: list[Path], folder: Path | None) -> Path | None:
    """Of several clips each has a subfolder of its name."""
    return folder / clip.name if folder and len(clips) > 1 else folder


def configuration(
    what: list[str],
    depth_source: str,
    intrinsics: str,
    mode: str,
    masks: str,
    tools: ToolsProtocol,
    looks_for_tools: bool = False,
) -> EvaluationConfig:
    """The settings that the options stand for; each checks its own values.

    The pipeline has the stages that the parts need; clearance of tools needs the map too.
    """
    from endosfm3d_ros.evaluation.evaluate import EvaluationConfig
    from endosfm3d_ros.pipeline.pipeline import PipelineConfig
    from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
    from endosfm3d_ros.sfm.config import EstimatorConfig
    from endosfm3d_ros.tissue.config import TissueConfig
    from endosfm3d_ros.tools.stage import ToolsConfig

    live, unique = mode == "live", tuple(dict.fromkeys(name for name in what if name))
    given = masks == "reference"
    looks_for_tools |= bool({"masks", "tools", "cloud"} & set(unique))
    needs_map = bool({"tools", "cloud"} & set(unique)) or (live and "tissue" in unique)
    source = "topic" if given else masks
    stage = ToolsConfig(source, tools.models, tools.model_path, tools.alignment, in_background=live)
    pipeline = PipelineConfig(
        sfm=EstimatorConfig(
            depth_source=depth_source,
            intrinsics=IntrinsicsConfig(mode=intrinsics),
            background=live,
        ),
        tools=stage if looks_for_tools else None,
        tissue=TissueConfig() if needs_map else None,
    )
    return EvaluationConfig(
        what=unique, mode=mode, pipeline=pipeline, tools=tools, given_masks=given
    )


def tools_protocol(models: str, path: str, align: str, lpips_weights: Path | None) -> ToolsProtocol:
    """How models of instruments are placed and scored."""
    from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol

    accepted = {"default": "joint", "paper": "paper", "none": "none"}
    if align not in accepted:
        raise ConfigurationError(f"--align '{align}': accepted are {', '.join(accepted)}")
    lpips = None
    if lpips_weights is not None:
        from endosfm3d_ros.networks.lpips import Lpips

        lpips = Lpips.load(lpips_weights).distance
    return ToolsProtocol(models, path, accepted[align], lpips=lpips)


def depth_protocol(name: str) -> DepthProtocol | None:
    """The named one; None where none is asked for."""
    from endosfm3d_ros.evaluation.metrics.protocols import find_protocol

    return find_protocol(name) if name else None


def run_with_progress(
    clip: Path, config: EvaluationConfig, inputs: list[str] | None = None
) -> Report:
    """The evaluation with a bar of frames."""
    from endosfm3d_ros.evaluation.evaluate import evaluate

    sequence = open_source(clip, inputs)
    tell(sequence, Console(stderr=True))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task(escape(sequence.name), total=len(sequence))
        return evaluate(sequence, config, lambda count: progress.update(bar, completed=count))


def show(report: Report, console: Console) -> None:
    """Tables for people."""
    from endosfm3d_ros.evaluation.report import latency_table, scores_table

    if any(report.scores.values()):
        console.print(scores_table(report))
    console.print(latency_table(report))
    console.print(
        f"{report.frames_processed} of {report.frames} frames processed, "
        f"{report.frames_dropped} dropped, {report.rate_hz:.1f} Hz {report.mode}, depth from "
        f"{report.depth_source}, scale {report.scale_source}, "
        f"{report.rss_mb_max:.0f} MB resident"
    )
    for note in report.notes:
        console.print(note, style="yellow", markup=False)
    for name in report.without_reference:
        text = f"{name}: the clip has no reference for it"
        console.print(text, style="yellow", markup=False)
    if report.starved:
        console.print(
            f"[yellow]frames could only be read at {report.input_hz:.1f} Hz, the clip has "
            f"{report.clip_hz:g} Hz: the rate above is bounded by reading[/yellow]"
        )
