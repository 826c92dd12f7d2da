"""`endosfm3d run`: the pipeline over a recording, without a ROS graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from endosfm3d_ros.cli.sources import InputOption, SourceArgument, open_source, tell
from endosfm3d_ros.datasets.formats.names import shown

if TYPE_CHECKING:
    from rich.console import Console

    from endosfm3d_ros.datasets.sequence import Sequence
    from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
    from endosfm3d_ros.tools.stage import ToolsConfig


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    live: Annotated[
        bool, typer.Option("--live", help="At the recorded rate, latest frame wins.")
    ] = False,
    depth_source: Annotated[
        str, typer.Option(help="auto, topic, stereo, endosfm3d or shading.")
    ] = "auto",
    intrinsics: Annotated[str, typer.Option(help="estimate, prior or fixed.")] = "estimate",
    tissue_map: Annotated[
        bool, typer.Option("--map/--no-map", help="Keep a map of the tissue, instruments removed.")
    ] = True,
    tools: Annotated[
        str, typer.Option(help="off, auto, topic, colour or network: where masks come from.")
    ] = "auto",
    tool_models: Annotated[str, typer.Option(help="capsule, mesh or lrm.")] = "capsule",
    tool_model_path: Annotated[
        str, typer.Option(help="Mesh file in metres, or folder of reconstruction weights.")
    ] = "",
    align: Annotated[str, typer.Option(help="joint, paper or none.")] = "joint",
    inputs: InputOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older result.")] = False,
) -> None:
    """Write a bag with every output, clouds, meshes, the map, a film and a summary.

    Every frame is processed unless --live is given, and the map gets as many refinement steps as
    it needs. The folder appears when all is done.

    Example: endosfm3d run my_bag --out result
    """
    import json

    from rich.console import Console

    from endosfm3d_ros.cli.main import NOTICE
    from endosfm3d_ros.files.atomic import atomic_folder
    from endosfm3d_ros.pipeline.pipeline import Pipeline
    from endosfm3d_ros.tools.stage import ToolsConfig

    console = Console()
    console.print(NOTICE, style="yellow")
    sequence = open_source(source, inputs)
    tell(sequence, console)
    stage = ToolsConfig(tools, tool_models, tool_model_path, align, in_background=live)
    config = configuration(
        depth_source, intrinsics, tissue_map, None if tools == "off" else stage, live
    )
    pipeline = Pipeline(config, report=console.print)
    with atomic_folder(out, "summary.json", force) as folder:
        folder.mkdir()
        summary = {"source": shown(source), **record(sequence, pipeline, folder, live, console)}
        (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    pipeline.close()
    for note in pipeline.sfm.notes():
        console.print(note, style="yellow", highlight=False, markup=False)
    console.print_json(json.dumps(summary))
    console.print(f"written to {out}", highlight=False, markup=False)


def configuration(
    depth_source: str, intrinsics: str, tissue_map: bool, tools: ToolsConfig | None, live: bool
) -> PipelineConfig:
    """The settings that the options stand for; each checks its own values."""
    from endosfm3d_ros.pipeline.pipeline import PipelineConfig
    from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
    from endosfm3d_ros.sfm.estimator import EstimatorConfig
    from endosfm3d_ros.tissue.config import TissueConfig

    return PipelineConfig(
        sfm=EstimatorConfig(
            depth_source=depth_source,
            intrinsics=IntrinsicsConfig(mode=intrinsics),
            background=live,
        ),
        tools=tools,
        tissue=TissueConfig() if tissue_map else None,
        tissue_budget=PipelineConfig.tissue_budget if live else None,
    )


def record(
    sequence: Sequence, pipeline: Pipeline, folder: Path, live: bool, console: Console
) -> dict[str, Any]:
    """Play the recording into files of `folder`; returns the summary."""
    from rich.markup import escape
    from rich.progress import Progress

    from endosfm3d_ros.evaluation.runs.playback import play_live, play_offline
    from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
    from endosfm3d_ros.nodes.offline.recorder import Recorder

    play = play_live if live else play_offline
    with BagWriter(folder / "bag") as bag, Progress(console=console) as progress:
        recorder = Recorder(folder, bag, pipeline, sequence.fps)
        bar = progress.add_task(escape(sequence.name), total=len(sequence))
        played = play(
            sequence, pipeline, recorder.add, lambda count: progress.update(bar, completed=count)
        )
    return {
        "mode": "live" if live else "offline",
        "frames": len(sequence),
        "frames_processed": played.processed,
        "frames_dropped": played.dropped,
        "rate_hz": played.processed / max(played.seconds, 1e-9),
        "backend": pipeline.backend(),
        "k_seen_by": pipeline.sfm.k_seen_by(),
        **recorder.finish(),
    }
