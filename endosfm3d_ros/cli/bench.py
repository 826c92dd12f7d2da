"""`endosfm3d bench`: how fast the parts are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PARTS = ("stereo", "node", "start", "networks", "engines", "splatting", "tools")
SOAK = "soak"  # takes minutes, so it is only run when it is named
LRM = "lrm"  # the same: 260 million parameters are made an engine first
SCENE = "scene"  # the same: whole pipelines, once for every number of cores
NAMED = (SCENE, LRM, SOAK)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Parts: {', '.join(PARTS)}; all if none is named; and {', '.join(NAMED)}."
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Interleaved runs of each thing.")] = 15,
    frames: Annotated[int, typer.Option(min=60, help="Frames of the soak, before resets.")] = 9000,
    resets: Annotated[int, typer.Option(min=1, help="Of the stream, at the soak's end.")] = 500,
    plot: Annotated[Path | None, typer.Option(help="Draw the soak's curves here as PNG.")] = None,
) -> None:
    """Time the parts of the package; ratios are medians over interleaved runs.

    `soak` plays a simulated clip for thousands of frames and then starts it anew hundreds of
    times, and says whether memory and rate of the live pipeline with its tissue map stay flat.

    Example: endosfm3d bench stereo node --json bench.json
    """
    from rich.console import Console

    from endosfm3d_ros.bench.machine import hardware, versions
    from endosfm3d_ros.errors import ConfigurationError
    from endosfm3d_ros.evaluation.report import write_json

    chosen = what or list(PARTS)
    unknown = [name for name in chosen if name not in (*PARTS, *NAMED)]
    if unknown:
        raise ConfigurationError(
            f"bench {', '.join(unknown)}: accepted are {', '.join((*PARTS, *NAMED))}"
        )
    console = Console()
    result: dict = {}
    if SOAK in chosen:
        result[SOAK] = _soak(frames, resets, plot)
    for name in (name for name in chosen if name != SOAK):
        with console.status(f"timing {name}"):
            result |= _run(name, rounds)
    result |= {"hardware": hardware(), "versions": versions()}
    console.print(_table(result))
    if json_path:
        write_json(result, json_path)


def _run(name: str, rounds: int) -> dict:
    """The figures of one part."""
    parts = {
        "networks": _networks,
        LRM: _lrm,
        SCENE: _scene,
        "engines": _engines,
        "splatting": _splatting,
        "tools": _tools,
        "stereo": _stereo,
        "node": _node,
        "start": _start,
    }
    return parts[name](rounds)


def _stereo(rounds: int) -> dict:
    from endosfm3d_ros.bench.stereo import bench_frames, bench_stereo, input_hash

    frames = bench_frames()
    return bench_stereo(frames, rounds) | {"input": input_hash(frames)}


def _node(rounds: int) -> dict:
    from endosfm3d_ros.bench.stereo import bench_frames
    from endosfm3d_ros.nodes.offline.bench import bench_node

    return bench_node(bench_frames(), 4 * rounds)


def _start(rounds: int) -> dict:
    """Three further starts, whatever the rounds: each takes seconds."""
    from endosfm3d_ros.bench.stereo import bench_frames
    from endosfm3d_ros.nodes.offline.bench_start import bench_start

    return bench_start(bench_frames())


def _scene(rounds: int) -> dict:
    """Processor time of a whole update, printed as a table of its own as well."""
    from rich.console import Console
    from rich.table import Table

    from endosfm3d_ros.bench.scene import bench_scene

    result = bench_scene(rounds)
    table = Table("update of", "cores", "processor ms", "in matchings", "wall ms", "dearest stages")
    for name, rows in result.items():
        for cores, row in rows.items():
            dearest = sorted(row["stages"].items(), key=lambda stage: -stage[1])[:6]
            said = ", ".join(f"{stage} {ms:.0f}" for stage, ms in dearest)
            figures = (f"{row[key]:.2f}" for key in ("cpu_ms", "in_matchings", "wall_ms"))
            table.add_row(name, cores.removeprefix("cores_"), *figures, said)
    Console().print(table)
    return result


def _splatting(rounds: int) -> dict:
    from endosfm3d_ros.bench.splatting import bench_splatting

    return bench_splatting(rounds)


def _tools(rounds: int) -> dict:
    from endosfm3d_ros.bench.tools import bench_tools

    return bench_tools(rounds)


def _networks(rounds: int) -> dict:
    from endosfm3d_ros.bench.networks import bench_networks

    return bench_networks(rounds)


def _lrm(rounds: int) -> dict:
    """The network that runs beside the frames."""
    from endosfm3d_ros.bench.lrm import bench_lrm

    return bench_lrm(frames=2 * rounds)


def _soak(frames: int, resets: int, path: Path | None) -> dict:
    """Hours of a stream in minutes; a line for each row of the table as it comes."""
    from rich.console import Console

    from endosfm3d_ros.bench.soak import SoakConfig, plot, soak, summarised

    console = Console()
    rows = soak(
        SoakConfig(frames=frames, resets=resets),
        lambda row: console.print(
            f"frame {row.frame}, {row.resets} resets: {row.rss_mb:.0f} MB, {row.rate_hz:.1f} Hz, "
            f"{row.gaussians} Gaussians, {row.nodes} nodes"
        ),
    )
    if path is not None:
        plot(rows, path)
    return summarised(rows)


def _engines(rounds: int) -> dict:
    """Every network on every back end, printed as a table of its own as well."""
    from rich.console import Console

    from endosfm3d_ros.bench.engine_check import engine_rows, engine_table
    from endosfm3d_ros.engines import EngineSettings

    console = Console()
    rows = engine_rows("", EngineSettings(), rounds, console.log, generated=True)
    console.print(engine_table(rows))
    return rows


def _table(result: dict) -> object:
    from rich.table import Table

    title = ", ".join(f"{key} {value}" for key, value in result["hardware"].items())
    table = Table("what", "p50 ms", "p95 ms", "ratio to", title=title)
    for name, row in result.items():
        if isinstance(row, dict) and "p50_ms" in row:
            ratios = ", ".join(f"{value:.3g} x {other}" for other, value in row["ratio_to"].items())
            table.add_row(name, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}", ratios)
    return table
