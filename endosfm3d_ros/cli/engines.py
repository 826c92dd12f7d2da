"""`endosfm3d engines`: build, list and remove the engines that the networks run on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, help="Build, list and remove the engines that the networks run on."
    )
    group.command("build")(build)
    group.command("list")(list_engines)
    group.command("clean")(clean)
    app.add_typer(group, name="engines")


def build(
    weights: Annotated[
        str, typer.Option(help="Name or folder of a weight set; empty: the first installed.")
    ] = "",
    precision: Annotated[
        str, typer.Option(help="f32, or bf16 where the processor has it (faster, 1 % off).")
    ] = "f32",
) -> None:
    """Build the depth and pose engines now, so that the first start does not have to.

    Example: endosfm3d engines build --weights ~/endosfm3d_weights --precision bf16
    """
    from endosfm3d_ros.engines import EngineSettings, obtain_engine
    from endosfm3d_ros.sfm.endosfm3d_engines import depth_recipe, pose_recipe
    from endosfm3d_ros.sfm.weights import find_weights

    console, found = Console(), find_weights(weights)
    settings = EngineSettings(precision=precision)
    console.print(f"weights {found.folder}, engines in {settings.cache_dir}", highlight=False)
    for recipe in [depth_recipe(found), *([pose_recipe(found)] if found.has_pose else [])]:
        begin = time.perf_counter()
        with console.status(recipe.name) as status:
            engine = obtain_engine(recipe, settings, report=status.update)
        seconds = time.perf_counter() - begin
        worst = max(engine.info.errors.values())
        console.print(
            f"{recipe.name}: {engine.info.backend} {engine.info.precision}, "
            f"{'from disk' if engine.info.cached else 'built'} in {seconds:.1f} s, "
            f"within {worst:.1e} of torch",
            highlight=False,
        )
        for reason in engine.info.refused:
            console.print(f"  [red]refused[/red] {reason}", highlight=False)
    if not found.has_pose:
        console.print("no pose network in this set: motion and intrinsics come from elsewhere")


def list_engines() -> None:
    """List the engines on disk.

    Example: endosfm3d engines list
    """
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.engines.cache import EngineCache

    cache = EngineCache(EngineSettings().cache_dir)
    table = Table("network", "weights", "runs on", "error", "built in", "size")
    for path, card in cache.entries():
        size = f"{path.stat().st_size / 2**20:.0f} MiB"
        if card is None:
            table.add_row(path.name, "[red]damaged[/red]", "", "", "", size)
            continue
        table.add_row(
            card.network,
            card.description.get("weights", ""),
            f"{card.backend} {card.precision}",
            f"{max(card.errors.values()):.1e}",
            f"{card.build_seconds:.1f} s",
            size,
        )
    console = Console()
    console.print(table if table.row_count else f"no engines in {cache.folder}")


def clean() -> None:
    """Remove all engines from disk; the next start builds them again.

    Example: endosfm3d engines clean
    """
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.engines.cache import EngineCache

    folder: Path = EngineSettings().cache_dir
    freed = EngineCache(folder).clean()
    Console().print(f"{freed / 2**20:.0f} MiB removed from {folder}", highlight=False)
