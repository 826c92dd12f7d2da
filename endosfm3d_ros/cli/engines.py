"""`endosfm3d engines`: build, check, list and remove the engines that the networks run on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from endosfm3d_ros.engines import EngineSettings, NetworkRecipe

Weights = Annotated[
    str, typer.Option(help="Name or folder of a weight set; empty: the first installed.")
]
Calibrate = Annotated[
    list[Path] | None,
    typer.Option(
        help="Recording to calibrate int8 on: clip folder, bag or video; may be repeated."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Build, check, list and remove the engines that the networks run on.",
    )
    group.command("build")(build)
    group.command("list")(list_engines)
    group.command("check")(check)
    group.command("clean")(clean)
    app.add_typer(group, name="engines")


def build(
    weights: Weights = "",
    precision: Annotated[
        str, typer.Option(help="f32, bf16 (1 % off), f16 (GPU), int8 (needs --calibrate).")
    ] = "f32",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    backend: Annotated[
        list[str] | None, typer.Option(help="Back ends in this order, in place of the device's.")
    ] = None,
    calibrate: Calibrate = None,
    ahead: Annotated[
        bool, typer.Option("--ahead", help="For RTX cards of other machines; needs no GPU.")
    ] = False,
) -> None:
    """Build the engines of all installed networks now, so that no start has to.

    On a machine with a GPU this also compiles gsplat's kernels, where gsplat is installed.

    Example: endosfm3d engines build --precision int8 --calibrate my_clip
    """
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.errors import ConfigurationError
    from endosfm3d_ros.weights.installed_networks import installed_recipes

    console = Console(highlight=False)
    settings = EngineSettings(
        backends=tuple(backend) if backend else None,
        device=device,
        precision=precision,
        calibration=_images(calibrate),
    )
    recipes, missing = installed_recipes(weights)
    if not recipes:
        raise ConfigurationError(missing[0])
    console.print(f"engines in {settings.cache_dir}", markup=False)
    for recipe in recipes:
        (_build_ahead if ahead else _build_one)(console, recipe, settings)
    for sentence in missing:
        console.print(f"[yellow]left out[/yellow] {escape(sentence)}")
    if not ahead:
        _build_gsplat(console, settings)


def _images(calibrate: list[Path] | None) -> Callable[[], list[np.ndarray]] | None:
    if not calibrate:
        return None
    from endosfm3d_ros.weights.installed_networks import calibration_images

    return lambda: calibration_images(calibrate)


def _build_one(console: Console, recipe: NetworkRecipe, settings: EngineSettings) -> None:
    from time import perf_counter

    from endosfm3d_ros.cli.progress import live_progress
    from endosfm3d_ros.engines import obtain_engine

    begin = perf_counter()
    with live_progress(console, recipe.name) as report:
        info = obtain_engine(recipe, settings, report).info
    origin = "from disk" if info.cached else "built"
    console.print(
        f"{recipe.name} ({recipe.description.get('weights', '')}): {info.backend} "
        f"{info.precision}, {origin} in {perf_counter() - begin:.1f} s, {info.parity}"
    )
    for reason in info.refused:
        console.print(f"  [red]refused[/red] {escape(reason)}")


def _build_ahead(console: Console, recipe: NetworkRecipe, settings: EngineSettings) -> None:
    from endosfm3d_ros.cli.progress import live_progress
    from endosfm3d_ros.engines.ahead import build_ahead

    with live_progress(console, recipe.name) as report:
        path, card, cached = build_ahead(recipe, settings, report)
    origin = "from disk" if cached else f"built in {card.build_seconds:.1f} s"
    console.print(
        f"{recipe.name}: {card.backend} {card.precision}, {origin}; compared with torch where it "
        f"is first used\n  {path}",
        markup=False,
    )


def _build_gsplat(console: Console, settings: EngineSettings) -> None:
    """Compile gsplat's kernels where it is installed and there is a GPU."""
    if settings.resolved_device() != "cuda":
        return
    from endosfm3d_ros.cli.progress import live_progress
    from endosfm3d_ros.engines.progress import still_working
    from endosfm3d_ros.splatting.gsplat_kernels import installed, load_kernels

    if not installed():
        return
    with live_progress(console, "gsplat") as report, still_working(report, "compiling kernels"):
        load_kernels()
    console.print("gsplat: kernels are compiled")


def list_engines() -> None:
    """List the engines on disk.

    Example: endosfm3d engines list
    """
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.engines.cache import EngineCache

    cache = EngineCache(EngineSettings().cache_dir)
    table = Table("network", "weights", "runs on", "error", "scale", "built in", "size")
    for path, card in cache.entries():
        size = f"{path.stat().st_size / 2**20:.0f} MiB"
        if card is None:
            table.add_row(escape(path.name), "[red]damaged[/red]", "", "", "", "", size)
            continue
        table.add_row(
            card.network,
            escape(card.description.get("weights", "")),
            f"{card.backend} {card.precision}",
            f"{max(card.errors.values()):.1e}" if card.errors else "unchecked",
            "" if card.scale_error is None else f"{card.scale_error:.1e}",
            f"{card.build_seconds:.1f} s",
            size,
        )
    console = Console()
    console.print(table if table.row_count else escape(f"no engines in {cache.folder}"))


def check(
    weights: Weights = "",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    calibrate: Calibrate = None,
    report_path: Annotated[
        Path | None, typer.Option("--report", help="Write everything as JSON, with date and card.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Interleaved runs of each engine.")] = 15,
) -> None:
    """Check every engine file, then every network on every back end against torch.

    Builds what is not there. Without installed weights generated ones are used. Exit code 1 when
    an engine is damaged or differs from torch.

    Example: endosfm3d engines check --report check.json
    """
    from endosfm3d_ros.bench.engine_check import engine_check, engine_table
    from endosfm3d_ros.cli.progress import live_progress
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.evaluation.report import write_json

    console = Console(highlight=False, soft_wrap=True)
    settings = EngineSettings(device=device, calibration=_images(calibrate))
    with live_progress(console, "engines") as report:
        found = engine_check(weights, settings, rounds, report)
    for path, reason in found.damaged.items():
        text = escape(f"{path}: {reason}; the next start builds it again")
        console.print(f"[red]damaged[/red] {text}")
    console.print(engine_table(found.rows))
    for reason in found.reasons:
        console.print(f"- {reason}", markup=False)
    if report_path:
        write_json(found.as_json(), report_path)
        console.print(f"written to {report_path}", markup=False)
    if not found.well:
        raise typer.Exit(1)


def clean() -> None:
    """Remove all engines from disk; the next start builds them again.

    Example: endosfm3d engines clean
    """
    from endosfm3d_ros.engines import EngineSettings
    from endosfm3d_ros.engines.cache import EngineCache

    folder: Path = EngineSettings().cache_dir
    freed = EngineCache(folder).clean()
    Console().print(f"{freed / 2**20:.0f} MiB removed from {folder}", highlight=False, markup=False)
