"""`endosfm3d view`: the live scene in a browser."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(view)


def view(
    node: Annotated[str, typer.Option(help="Full name of the pipeline.")] = "/endosfm3d",
    image: Annotated[
        str, typer.Option(help="Topic of the image; by default what the pipeline listens to.")
    ] = "",
    host: Annotated[
        str, typer.Option(help="Address to serve on; 0.0.0.0 lets other machines look.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
) -> None:
    """Show image, depth, tissue, scene, distances and status of a running pipeline in a browser.

    The page only reads: nothing can be changed through it. It subscribes while a page is open.
    Whoever reaches the address sees the pictures; there is no password.

    Example: endosfm3d view
    """
    from rich.console import Console

    from endosfm3d_ros.nodes.view.session import show

    console = Console(stderr=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        warning = f"everybody who reaches {host} sees the pictures: there is no password"
        console.print(warning, style="yellow")
    show(node, image, host, port, lambda address: console.print(f"open {address}"))
