"""`endosfm3d bench`: how fast the parts are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PARTS = ("stereo", "node", "networks", "engines", "splatting", "tools")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    what: Annotated[
        list[str] | None, typer.Argument(help=f"Parts: {', '.join(PARTS)}; all if none is named.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Interleaved runs of each thing.")] = 15,
) -> None:
    """Time the parts of the package; ratios are medians over interleaved runs.

    Example: endosfm3d bench stereo node --json bench.json
    """
    from rich.console import Console

    from endosfm3d_ros.errors import ConfigurationError
    from endosfm3d_ros.evaluation.machine import hardware, versions
    from endosfm3d_ros.evaluation.report import write_json

    chosen = what or list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        raise ConfigurationError(f"bench {', '.join(unknown)}: accepted are {', '.join(PARTS)}")
    console = Console()
    result: dict = {}
    for name in chosen:
        with console.status(f"timing {name}"):
            result |= _run(name, rounds)
    result |= {"hardware": hardware(), "versions": versions()}
    console.print(_table(result))
    if json_path:
        write_json(result, json_path)


def _run(name: str, rounds: int) -> dict:
    """The figures of one part."""
    if name == "networks":
        from endosfm3d_ros.evaluation.bench_networks import bench_networks

        return bench_networks(rounds)
    if name == "engines":
        return _engines(rounds)
    if name == "splatting":
        from endosfm3d_ros.evaluation.bench_splatting import bench_splatting

        return bench_splatting(rounds)
    if name == "tools":
        from endosfm3d_ros.evaluation.bench_tools import bench_tools

        return bench_tools(rounds)
    from endosfm3d_ros.evaluation.bench_stereo import bench_frames, bench_stereo, input_hash

    frames = bench_frames()
    if name == "stereo":
        return bench_stereo(frames, rounds) | {"input": input_hash(frames)}
    from endosfm3d_ros.nodes.bench import bench_node

    return bench_node(frames, 4 * rounds)


def _engines(rounds: int) -> dict:
    """Every network on every back end, printed as a table of its own as well."""
    from rich.console import Console

    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.evaluation.engine_check import engine_rows, engine_table

    console = Console()
    rows = engine_rows("", EngineSettings(), rounds, console.log)
    console.print(engine_table(rows))
    return rows


def _table(result: dict) -> object:
    from rich.table import Table

    title = ", ".join(f"{key} {value}" for key, value in result["hardware"].items())
    table = Table("what", "p50 ms", "p95 ms", "ratio to", title=title)
    for name, row in result.items():
        if isinstance(row, dict) and "p50_ms" in row:
            ratios = ", ".join(f"{value:.2f} x {other}" for other, value in row["ratio_to"].items())
            table.add_row(name, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}", ratios)
    return table
