"""`endosfm3d weights`: which networks are installed, and how to get those of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from endosfm3d_ros.sfm.endosfm3d.weights import WeightSet

Accepted = Annotated[str, typer.Option(help="Name of the licence, once you have read it.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is installed.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, help="Which networks are installed, and how to get those of others."
    )
    group.command("list")(list_weights)
    group.command("fetch")(fetch)
    group.command("add")(add)
    app.add_typer(group, name="weights")


def list_weights() -> None:
    """List installed weights, the one in use first, and where official ones come from.

    Example: endosfm3d weights list
    """
    from endosfm3d_ros.sfm.endosfm3d.weights import VARIABLE, installed_weights
    from endosfm3d_ros.weights.catalogue import CATALOGUE, user_folder

    console = Console(soft_wrap=True)
    chosen = os.environ.get(VARIABLE)
    if chosen and not Path(chosen).is_dir():
        console.print(f"[yellow]{VARIABLE}={escape(chosen)} is not a folder[/yellow]")
    installed = Table("set", "holds", "size", "licence", "folder", title="installed")
    for number, found in enumerate(installed_weights()):
        name = escape(found.name)
        name = f"[bold]{name}[/bold] (in use)" if number == 0 else name
        installed.add_row(name, contents(found), size_of(found.folder), licence_of(found),
                          escape(str(found.folder)))  # fmt: skip
    console.print(installed if installed.row_count else "no weights are installed")
    official = Table("name", "what", "licence", "here", title="published by others")
    official.columns[0].no_wrap = True  # a name has to be copied
    for entry in CATALOGUE:
        here = "yes" if user_folder(entry).is_dir() else "no"
        official.add_row(entry.name, entry.title, entry.licence.name, here)
    console.print(official)
    for entry in CATALOGUE:  # whole, whatever the width: addresses have to be copied too
        console.print(f"{entry.name}: {entry.page}", highlight=False, markup=False)


def fetch(
    name: Annotated[str, typer.Argument(help="As `endosfm3d weights list` shows it.")],
    accept_licence: Accepted = "",
    force: Force = False,
) -> None:
    """Download weights of others into your data folder, once their licence is accepted.

    Example: endosfm3d weights fetch openlrm-base --accept-licence CC-BY-NC-4.0
    """
    from endosfm3d_ros.weights import catalogue, installation

    entry = catalogue.find_entry(name)
    catalogue.require_licence(entry, accept_licence)
    show_result(installation.fetch(entry, plain, force))


def add(
    name: Annotated[str, typer.Argument(help="As `endosfm3d weights list` shows it.")],
    folder: Annotated[Path, typer.Argument(help="Folder with the files as published.")],
    accept_licence: Accepted = "",
    force: Force = False,
) -> None:
    """Install weights that you downloaded: checked, and converted to safetensors.

    Example: endosfm3d weights add endosfm3d ~/best_SCARED_depth --accept-licence none-stated
    """
    from endosfm3d_ros.weights import catalogue, installation

    entry = catalogue.find_entry(name)
    catalogue.require_licence(entry, accept_licence)
    show_result(installation.add(entry, folder, plain, force))


def plain(text: str) -> None:
    """A line as it is."""
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def show_result(folder: Path) -> None:
    """Where the weights are now."""
    plain(f"installed in {folder}")


def contents(found: WeightSet) -> str:
    """Which networks a set holds."""
    kind = "small networks: " if found.is_student else ""
    return kind + ("depth, pose and intrinsics" if found.has_pose else "depth")


def size_of(folder: Path) -> str:
    """Bytes of the files directly in a folder."""
    total = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return f"{total / 2**20:.1f} MiB"


def licence_of(found: WeightSet) -> str:
    """As the files beside the weights say; a question mark where they say nothing."""
    import json

    for name in ("origin.json", "depth.json"):
        path = found.folder / name
        if path.is_file():
            return str(json.loads(path.read_text()).get("licence", "?"))
    return "?"
